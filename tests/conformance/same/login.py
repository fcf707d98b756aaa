# login() without a terminal; at a server that refuses all, and at none.
import http.server
import os
import threading

from confhelp import attempt, obs, sdk


class Refusal(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(400)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
threading.Thread(target=server.serve_forever, daemon=True).start()
HOST = f"http://127.0.0.1:{server.server_port}"
NOBODY = "http://127.0.0.1:9"
obs("offline", None)
os.environ["WANDB_MODE"] = "offline"
attempt("l1", sdk.login)
obs("r1", sdk.login(key="a" * 40))
sdk.teardown()
os.environ["WANDB_MODE"] = "disabled"
obs("r2", sdk.login(key="a" * 40))
sdk.teardown()
os.environ["WANDB_MODE"] = "online"
attempt("nokey", sdk.login, host=HOST)
attempt("short", sdk.login, key="abc", host=HOST, verify=False)
attempt("blank", sdk.login, key=" " + "a" * 40, host=HOST, verify=False)
attempt("badhost", sdk.login, key="a" * 40, host="nohost", verify=False)
attempt("verify", sdk.login, key="a" * 40, host=HOST)
attempt("unreachable", sdk.login, key="a" * 40, host=NOBODY)
obs("ok", sdk.login(key="a" * 40, host=HOST, verify=False))
attempt("empty", sdk.login, key="", host=HOST, verify=False)
attempt("noprompt", sdk.login, prompt=False, host=HOST, verify=False)
attempt("anon", sdk.login, key="a" * 40, host=HOST, verify=False, anonymous="must")
run = sdk.init(mode="offline", project="conf", id="l1")
obs("during", sdk.login(key="a" * 40))
run.finish()
