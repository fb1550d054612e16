"""Stands in for docker, of which only a client is here. `docker.py --daemon SOCKET` runs containers as plain processes
of its own, so that they survive their clients; any other call is a client of the daemon that DOCKER_HOST names.

Each call is a line of JSON in the file `calls` of the daemon's folder."""
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading

containers = {}
lock = threading.Lock()


def value(words, name):
    return [word.split("=", 1)[1] for word in words if word.startswith(f"--{name}=")]


def run(words, env, fds, client):
    end = next(index for index, word in enumerate(words) if not word.startswith("-"))
    options, image, command = words[:end], words[end], words[end + 1:]
    if image == "missing":
        os.write(fds[2], b"docker: Error response from daemon: pull access denied for missing\n")
        return 125
    id = secrets.token_hex(32)
    id_file = value(options, "cidfile")[0]
    # An engine that is killed before it writes the id of its container.
    if image != "late":
        with open(id_file, "x") as file:
            file.write(id)
    own = {name: env[name] for name in value(options, "env") if name in env}
    own["PATH"] = os.environ["PATH"]
    labels = dict(label.split("=", 1) for label in value(options, "label"))
    process = subprocess.Popen(command or ["cat"], env=own, stdin=fds[0], stdout=fds[1], stderr=fds[2], start_new_session=True, cwd="/")
    with lock:
        containers[id] = (labels, process)

    def forward():
        while client.recv(1):
            process.terminate()
    threading.Thread(target=forward, daemon=True).start()
    for fd in fds:
        os.close(fd)
    fds.clear()
    code = process.wait()
    if image == "tidy":
        os.remove(id_file)
    with lock:
        containers.pop(id, None)
    return 128 - code if code < 0 else code


def other(words, fds):
    say = lambda text: os.write(fds[1], f"{text}\n".encode())
    match words[0]:
        case "version":
            say("27.5.1")
        case "ps":
            label, wanted = value(words, "filter")[0].removeprefix("label=").split("=", 1)
            with lock:
                found = [id for id, (labels, _) in containers.items() if labels.get(label) == wanted]
            for id in found:
                say(id)
        case "inspect" if os.path.exists("broken"):
            os.write(fds[2], b"Error: database is locked\n")
            return 1
        case "rm" if os.path.exists("stuck"):
            os.write(fds[2], b"Error: device busy\n")
            return 1
        case "inspect":
            with lock:
                say(containers[words[-1]][0]["orderflow.process"])
        case "image":
            if words[-1] == "missing":
                os.write(fds[2], b"Error response from daemon: No such image: missing\n")
                return 1
            say("sha256:0123")
        case "rm":
            with lock:
                _, process = containers.pop(words[-1])
            os.killpg(process.pid, signal.SIGKILL)
            say(words[-1])
        case unknown:
            os.write(fds[2], f"docker: unknown command {unknown}\n".encode())
            return 125
    return 0


def serve(client):
    message, fds, _, _ = socket.recv_fds(client, 1 << 20, 3)
    asked = json.loads(message)
    words = asked["words"]
    with lock, open("calls", "a") as calls:
        calls.write(json.dumps(words) + "\n")
    try:
        code = run(words[1:], asked["env"], fds, client) if words[0] == "run" else other(words, fds)
    except KeyError:
        os.write(fds[2], b"Error: no such container\n")
        code = 1
    for fd in fds:
        os.close(fd)
    try:
        client.sendall(bytes([code]))
    except OSError:
        pass


if sys.argv[1] == "--daemon":
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{sys.argv[2]}.new")
    server.listen()
    os.rename(f"{sys.argv[2]}.new", sys.argv[2])
    while True:
        client = server.accept()[0]
        threading.Thread(target=serve, args=(client,), daemon=True).start()

host = os.environ.get("DOCKER_HOST", "")
client = socket.socket(socket.AF_UNIX)
try:
    client.connect(host.removeprefix("unix://"))
except OSError:
    print(f"docker: Cannot connect to the Docker daemon at {host}.", file=sys.stderr)
    sys.exit(125 if sys.argv[1] == "run" else 1)
signal.signal(signal.SIGTERM, lambda *_: client.sendall(b"T"))
socket.send_fds(client, [json.dumps({"words": sys.argv[1:], "env": dict(os.environ)}).encode()], [0, 1, 2])
sys.exit(client.recv(1)[0])
