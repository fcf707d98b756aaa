# save_code, code_dir, and what the settings say of the program.
import os

from confhelp import obs, sdk, write

write("pack/inner.py", "x = 1\n")
write("pack/data.txt", "no code\n")
write("Dockerfile.gpu", "FROM scratch\n")
run = sdk.init(project="conf", id="code1", name="s", mode="offline", save_code=True)
s = run.settings
obs("program", [os.path.basename(s.program or ""), s.program_relpath, s._code_path_local])
obs("abspath", os.path.basename(s.program_abspath or ""))
obs("git", [s.git_commit, s.git_remote_url, s.git_remote, s.git_root])
obs("flags", [s.save_code, s.code_dir, s.disable_git, s.disable_code])
run.finish()
run = sdk.init(project="conf", id="code2", name="s", mode="offline", save_code=False)
run.finish()
run = sdk.init(
    project="conf",
    id="code3",
    name="s",
    mode="offline",
    save_code=True,
    settings=sdk.Settings(code_dir="pack"),
)
run.finish()
run = sdk.init(
    project="conf",
    id="code4",
    name="s",
    mode="offline",
    save_code=True,
    settings=sdk.Settings(x_primary=False),
)
run.finish()
run = sdk.init(
    project="conf",
    id="code5",
    name="s",
    mode="offline",
    save_code=True,
    settings=sdk.Settings(x_disable_machine_info=True, x_save_requirements=False),
)
run.log_code(name="mine")
run.finish()
