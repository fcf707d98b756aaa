"""`python -m trackd_server`: the same as `trackd server`."""

from trackd_server.app.verbs import server

if __name__ == "__main__":
    server(prog_name="trackd server")
