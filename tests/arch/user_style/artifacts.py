"""A script that makes artifacts, as users of wandb write it."""

from datetime import timedelta
from pathlib import Path
from typing import assert_type

import trackd as wandb


def log_dataset(run: wandb.Run, folder: Path) -> wandb.Artifact:
    artifact = wandb.Artifact("digits", type="dataset", metadata={"rows": 1797})
    artifact.add_dir(folder, name="raw")
    artifact.add_file("labels.csv", policy="immutable")
    artifact.add_reference("s3://bucket/digits", name="remote", max_objects=100)
    with artifact.new_file("about.md", mode="w", encoding="utf-8") as file:
        file.write("made here")
    artifact.add(wandb.Table(columns=["a"], data=[[1]]), "preview")
    artifact["again"] = wandb.Table(columns=["a"], data=[[1]])
    artifact.ttl = timedelta(days=30)
    artifact.ttl = wandb.ArtifactTTL.INHERIT
    artifact.description = "Digits."
    artifact.metadata["source"] = "sklearn"
    assert_type(artifact.ttl, timedelta | None)
    assert_type(artifact.digest, str)
    assert_type(artifact.size, int)
    for path, entry in artifact.manifest.entries.items():
        assert_type(path, str)
        assert_type(entry.local_path, str | None)
    logged = run.log_artifact(artifact, aliases=["best"], tags=["small"])
    assert_type(logged, wandb.Artifact)
    run.log_artifact(Path("notes.txt"), name="notes", type="text")
    run.log_model("model.bin", name="model")
    run.log_code(".", include_fn=lambda path: path.endswith(".py"))
    return logged
