# Captured loggers, with console off and on.
import logging

from confhelp import sdk

logging.getLogger("app").setLevel(logging.DEBUG)
run = sdk.init(
    project="conf",
    id="conlog1",
    mode="offline",
    settings={"console": "off", "capture_loggers": {"app": "INFO"}},
)
logging.getLogger("app").info("seen")
logging.getLogger("app").debug("unseen")
logging.getLogger("app.sub").warning("child %d", 3)
print("not captured")
run.write_logs("w")
run.finish()
run = sdk.init(
    project="conf", id="conlog2", mode="offline", settings={"capture_loggers": {"app": "WARNING"}}
)
logging.getLogger("app").info("unseen")
logging.getLogger("app").error("seen err\nsecond")
print("captured")
run.finish()
logging.getLogger("app").error("late")
run = sdk.init(
    project="conf",
    id="conlog3",
    mode="offline",
    settings={"console_multipart": True, "x_label": "lab"},
)
print("multi")
print("part")
run.finish()
run = sdk.init(project="conf", id="conlog4", mode="offline", settings={"x_label": "l/b 1"})
print("labelled")
run.finish()
for mode in ("wrap_raw", "wrap"):
    run = sdk.init(project="conf", id="con" + mode, mode="offline", settings={"console": mode})
    print("mode", mode)
    print("a\rb")
    run.finish()
