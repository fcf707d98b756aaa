# Console: cursor movements, long lines, both streams, odd bytes.
import sys, os
from confhelp import obs, sdk
run = sdk.init(project="conf", id="conedge", mode="offline")
w = sys.stdout.write
w("plain\n"); w("a\rb\n"); w("abc\rX\n"); w("progress 10%\rprogress 100%\n"); w("pro\x1b"); w("[Aup\n"); w("\x1b[2Kclear\n"); w("\x1b[31mred\x1b[0m\n")
w("x" * 5000 + "\n"); w("tab\there\n"); w("back\b\bspace\n"); w("bell\a\n"); w("wide日本\n"); w("emoji🎉\n"); w("nul\x00x\n"); w("trail   \n"); w("   lead\n"); w("\n\n\n"); w("after blanks\n")
for i in range(5): w(f"line{i}\n")
w("\x1b[A\x1b[A\x1b[Aedit\n"); w("\x1b[B\x1b[Bdown\n")
sys.stderr.write("err1\n"); w("out"); sys.stderr.write("err2\n"); w("put\n")
print("crlf\r\nnext\r\n"); print("no newline", end=""); print("", flush=True); print("vt\x0bff\x0c"); print("surr\udce9")if False else None
w("a\nb\nc\x1b[A\x1b[AZ\n"); w("\x1b[10Amulti\n"); w("\x1b[1A\n"); w("\x1b]0;title\x07t\n")
for i in range(40): w(f"n{i}\n")
w("\x1b[A" * 50 + "top\n" + "\n" * 40 + "end"); 
print(); sys.stdout.writelines(["w1\n", "w2\n"]); print("tuple", 1, None, sep="|")
obs("ret", w("12345\n"))
run.write_logs("explicit") if hasattr(run, "write_logs") else None
run.write_logs("two\nlines\n")
w("last without newline")
run.finish()
print("after finish")
