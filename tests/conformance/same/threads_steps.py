# Explicit steps, commits and partial rows in many orders.
from confhelp import attempt, obs, sdk
run = sdk.init(project="conf", id="thrsteps", mode="offline")
run.log({"a": 1}, step=5); obs("s1", run.step); run.log({"b": 1}, step=5); run.log({"c": 1}, commit=True); obs("s2", run.step)
run.log({"d": 1}, step=5); run.log({"e": 1}, step=10, commit=True); run.log({"f": 1}); run.log({"g": 1}, commit=False); run.log({"h": 1}, step=11); obs("s3", run.step)
run.log({"i": 1}, step=12, commit=False); run.log({"j": 1}, step=13); run.log({}, commit=True); run.log({}); run.log({}, step=20); run.log({"k": 1}, step=21); run.log({}, commit=False); run.log({"l": {"m": 1}}, commit=False); run.log({"l": {}}, commit=False); run.log({"l": {"n": None}}); run.log({"o": None}); run.log({"p": [], "q": ""})
run.log({"r": 1}, step=0); run.log({"_step": 100, "s": 1}); obs("s4", run.step); run.log({"t": 1}, step=2**40); run.log({"u": 1}); obs("s5", run.step)
run.log({"last": 1}, commit=False)
run.finish()
