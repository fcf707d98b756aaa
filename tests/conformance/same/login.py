# login() without a terminal and without a network.
import os

from confhelp import attempt, obs, sdk

obs("offline", None)
os.environ["WANDB_MODE"] = "offline"
attempt("l1", sdk.login)
obs("r1", sdk.login(key="a" * 40))
sdk.teardown()
os.environ["WANDB_MODE"] = "disabled"
obs("r2", sdk.login(key="a" * 40))
sdk.teardown()
os.environ["WANDB_MODE"] = "online"
attempt("nokey", sdk.login, host="http://127.0.0.1:9")
attempt("short", sdk.login, key="abc", host="http://127.0.0.1:9", verify=False)
attempt("blank", sdk.login, key=" " + "a" * 40, host="http://127.0.0.1:9", verify=False)
attempt("badhost", sdk.login, key="a" * 40, host="nohost", verify=False)
attempt("verify", sdk.login, key="a" * 40, host="http://127.0.0.1:9")
obs("ok", sdk.login(key="a" * 40, host="http://127.0.0.1:9", verify=False))
attempt("empty", sdk.login, key="", host="http://127.0.0.1:9", verify=False)
attempt("noprompt", sdk.login, prompt=False, host="http://127.0.0.1:9", verify=False)
attempt("anon", sdk.login, key="a" * 40, host="http://127.0.0.1:9", verify=False, anonymous="must")
run = sdk.init(mode="offline", project="conf", id="l1")
obs("during", sdk.login(key="a" * 40))
run.finish()
