# Odd cells and arguments of tables: torch, arrays in containers, types given.
# volatile: npz
from confhelp import obs, attempt, sdk
import torch, numpy as np

T = sdk.Table
run = sdk.init(project="p", id="tor", name="s", mode="offline")
t = T(columns=["a"])
attempt("add", t.add_data, torch.tensor([1.0, 2.0]))
attempt("add2", t.add_data, torch.tensor(3.0))
attempt("add3", t.add_data, torch.ones(2, 2, requires_grad=True))
attempt("log", run.log, {"t": t})
attempt(
    "log0", lambda: run.log({"t0": T(columns=["a"], data=[[torch.tensor(3.0)], [torch.tensor(4)]])})
)
attempt("logdt", lambda: run.log({"tdt": T(columns=["a", "b"], data=[[1, torch.float32]])}))
attempt(
    "logempty",
    lambda: run.log(
        {
            "te": T(
                columns=["a"],
                data=[
                    [np.array([])],
                ],
            )
        }
    ),
)
attempt("log0d", lambda: run.log({"t0d": T(columns=["a"], data=[[np.array(5)]])}))
attempt("logs", lambda: run.log({"ts": T(columns=["a"], data=[[np.array(["x", "y"])]])}))
attempt(
    "logo", lambda: run.log({"to": T(columns=["a"], data=[[np.array([1, None], dtype=object)]])})
)
attempt("logd", lambda: run.log({"td": T(columns=["a"], data=[[{"k": np.arange(3)}]])}))
attempt("logik", lambda: run.log({"tik": T(columns=["a"], data=[[{1: 2}]])}))
attempt(
    "logset",
    lambda: run.log(
        {
            "tset": T(
                columns=["a"],
                data=[
                    [
                        {
                            "b": {
                                3,
                            }
                        }
                    ]
                ],
            )
        }
    ),
)
attempt(
    "lognan", lambda: run.log({"tnan": T(columns=["a"], data=[[np.array([np.nan, 1.0, np.inf])]])})
)
t = T(columns=["a"], data=[[np.zeros(3)], [np.ones(3)]])
run.log({"v1": t})
attempt("after", t.add_data, np.zeros(5))
attempt("after2", t.add_data, "x")
m = T(columns=["a"], data=[[np.zeros(3)]], log_mode="MUTABLE")
run.log({"m": m})
attempt("mafter", m.add_data, np.zeros(5))
run.log({"m": m})
m = T(columns=["a"], data=[[np.zeros((2, 2))]], log_mode="MUTABLE")
run.log({"mm": m})
attempt("mafter", m.add_data, np.ones((2, 2)))
run.log({"mm": m})
t = T(columns=["a"], dtype=np.ndarray) if False else None
attempt("nd", T, columns=["a"], dtype=np.ndarray)
attempt("opt list", T, columns=["a", "b"], data=[[None, 1]], optional=[True])
attempt("dtype dict", T, columns=["a"], data=[[{"x": 1}]], dtype={"x": int})
attempt("dtype list", T, columns=["a"], data=[[[1]]], dtype=[[int]])
attempt("dtype union", T, columns=["a"], data=[[1], ["x"]], dtype=[[int, str]])
attempt("dtype media", T, columns=["a"], data=[[1]], dtype=[sdk.Html])
attempt("str iter", T, columns=["a", "b"], data=["xy"])
attempt("gen", T, columns=["a"], data=(x for x in [[1]]))
attempt("nprows", T, columns=["a", "b"], data=np.array([1, 2]))
attempt("np3d", T, columns=["a", "b"], data=np.zeros((2, 2, 2)))
attempt("np cols", T, columns=np.array(["a", "b"]), data=[[1, 2]])
run.finish()
