"""Mistakes that a type checker is to find: each line marked so must have an error, no other."""

import trackd as wandb

run = wandb.init(project="digits")
run.log([1, 2])  # mistake
run.log({"x": 1}, step="one")  # mistake
run.log({"x": 1}, steps=1)  # mistake
wandb.init(projekt="digits")  # mistake
wandb.init(entity=["team"])  # mistake
run.config_static = {}  # mistake
run.id = "other"  # mistake
run.define_metric(3)  # mistake
run.save()  # mistake
run.alert("title")  # mistake
wandb.Image()  # mistake
wandb.plot.line()  # mistake
wandb.Settings().no_such_setting  # mistake
wandb.no_such_function()  # mistake
run.finish(exit_code="0")  # mistake
