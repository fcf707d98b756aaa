# watch on a small torch model; tensors in rows.
import torch
from confhelp import attempt, sdk

torch.manual_seed(0)
run = sdk.init(project="conf", id="torchwatch", mode="offline")
m = torch.nn.Linear(2, 1, bias=False)
with torch.no_grad():
    m.weight.fill_(0.5)
attempt("watch", run.watch, m, log="all", log_freq=1)
for i in range(3):
    out = m(torch.ones(1, 2)).sum()
    out.backward()
    run.log({"loss": out})
attempt("unwatch", run.unwatch, m)
for k, v in {
    "t0": torch.tensor(1.5),
    "t1": torch.tensor([1, 2]),
    "tb": torch.tensor(2.5, dtype=torch.bfloat16),
    "tbool": torch.tensor(True),
    "tlong": torch.arange(40.0),
    "grad": torch.ones(3, requires_grad=True),
    "half": torch.ones(2, dtype=torch.float16),
    "size": torch.Size([1, 2]),
}.items():
    attempt("log_" + k, run.log, {k: v})
attempt("dtype", run.log, {"dt": torch.float32})
attempt("dev", run.log, {"dev": torch.device("cpu")})
attempt("empty", run.log, {"empty": torch.zeros(0)})
attempt("nanlong", run.log, {"nl": torch.full((40,), float("nan"))})
attempt("sum", lambda: run.summary.update({"t": torch.arange(3)}))
attempt("cfgt", run.config.update, {"ct": torch.tensor(2.0)})
attempt("cfgl", run.config.update, {"cl": torch.arange(3)})
run.finish()
