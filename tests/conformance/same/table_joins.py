# Tables that refer to tables, tables of tables, tables that lie in artifacts.
import importlib

from confhelp import attempt, obs, sdk

T = sdk.Table
data_types = importlib.import_module(sdk.__name__ + ".data_types")


def keyed():
    table = T(columns=["id", "x"], data=[["a", 1], ["b", 2]])
    table.set_pk("id")
    return table


run = sdk.init(project="conf", id="joins", name="s", mode="offline")
a = keyed()
a.add_data("c", 5)
b = T(columns=["id", "y"], data=[["a", 3], ["b", 4]])
b.set_fk("id", a, "id")
attempt("fk_add", b.add_data, "q", 1)
attempt("fk_add_number", b.add_data, 5, 1)
run.log({"b": b})
rows, keys = keyed(), T(columns=["ref", "k"])
for number, row in rows.iterrows():
    keys.add_data(number, row[1])
obs("row", keys.data[1][0].get_row())
obs("index", [int(i) for i in rows.get_index()])
attempt("keys", run.log, {"keys": keys})
named = T(columns=["key"], data=[[keyed().data[0][0]]])
attempt("named", run.log, {"named": named})
attempt("pk_twice", a.set_pk, "x")
attempt("pk_unset", a.cast, "id", str)
attempt("fk_no_column", b.set_fk, "nope", a, "id")
attempt("fk_no_key", b.set_fk, "y", a, "nope")
run.log({"a": a})

attempt("join_number", sdk.JoinedTable, 1, a, "id")
attempt("join_one_key", sdk.JoinedTable, a, b, ["id"])
attempt("join_path", sdk.JoinedTable, a, "x.json", "id")
attempt("join_key", sdk.JoinedTable, a, b, 5)
joined = sdk.JoinedTable("p.table.json", "q.table.json", "id")
attempt("join_unknown", run.log, {"j0": joined})
parts = data_types.PartitionedTable("parts")
obs("same", parts == data_types.PartitionedTable("parts"))
artifact = sdk.Artifact("ds", "dataset")
artifact.add(T(columns=["id"], data=[["u"]]), "parts/one")
artifact.add(T(columns=["id"], data=[["v"]]), "parts/two")
artifact.add(parts, "whole")
artifact.add(T(columns=["id", "x"], data=[["a", 1]]), "p")
artifact.add(T(columns=["id", "y"], data=[["a", 1]]), "q")
artifact.add(joined, "join")
attempt("add_number", artifact.add, 5, "x")
run.log_artifact(artifact)
run.log({"parts": parts})
run.log({"joined": joined})
run.log({"other_parts": data_types.PartitionedTable("zz")})

table = T(columns=["id"], data=[["u"]])
draft = sdk.Artifact("ds2", "dataset")
draft.add(table, "tt")
run.log({"before": table})
run.log_artifact(draft)
run.log({"after": table})
table = T(columns=["id"], data=[["u2"]])
final = sdk.Artifact("ds3", "dataset")
final.add(table, "tt")
obs("entry", final.add(table, "tt2").path)
run.log_artifact(final)
run.log({"referred": table})
obs("logged", table.has_been_logged())
table = T(columns=["id"], data=[["u3"]])
run.log({"first": table})
second = sdk.Artifact("ds4", "dataset")
second.add(table, "tt")
run.log_artifact(second)
run.finish()
