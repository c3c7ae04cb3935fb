"""Drives the daemon at DOCKER_HOST with docker-py; docker-py.test.ts runs it.

Each function below whose name begins with `check_` is one case; the program prints `ok NAME`, `skip NAME`
with the reason or `not ok NAME` with a traceback for each. Needs the image `busybox`, and the same image as the reference in the first argument.
"""
import io
import sys
import tarfile
import threading
import time
import traceback

import docker
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound

REFERENCE = sys.argv[1]
client = docker.from_env(timeout=30)


class Skip(Exception):
    """Raised by a case that cannot be tried; says why."""


def sleeper(**options):
    options.setdefault("stop_signal", "SIGKILL")
    return client.containers.run("busybox", ["sleep", "100000"], detach=True, **options)


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def archive_of(name, data):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        entry.mode = 0o640
        entry.uid = entry.gid = 1000
        tar.addfile(entry, io.BytesIO(data))
    return target.getvalue()


def check_system():
    equal(client.ping(), True)
    equal(client.version()["ApiVersion"], "1.51")
    equal(client.info()["OSType"], "linux")
    assert isinstance(client.df()["Containers"], list)


def check_version_negotiation():
    for version in ("1.24", "1.30", "1.41", "1.51", "auto"):
        equal(docker.DockerClient(base_url=client.api.base_url.replace("http+docker://localhost", SOCKET),
                                  version=version).ping(), True)


def check_networks():
    pool = docker.types.IPAMPool(subnet="10.171.0.0/24", gateway="10.171.0.254")
    network = client.networks.create("py", driver="bridge", ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                                     labels={"made": "by py"}, check_duplicate=True)
    try:
        equal(client.networks.get("py").id, network.id)
        equal([found.name for found in client.networks.list(filters={"label": "made=by py"})], ["py"])
        server = sleeper(name="py-server", network="py")
        other = sleeper(name="py-other")
        try:
            network.connect(other, ipv4_address="10.171.0.50", aliases=["nick"])
            network.reload()
            equal(sorted(one.name for one in network.containers), ["py-other", "py-server"])
            code, output = server.exec_run(["sh", "-c", PAUSE + "ping -c 1 -W 2 nick"])
            assert code == 0 and b"10.171.0.50" in output, output
            try:
                network.remove()
                raise AssertionError("a network in use was removed")
            except APIError as error:
                equal(error.status_code, 403)
            network.disconnect(other, force=True)
            network.reload()
            equal([one.name for one in network.containers], ["py-server"])
        finally:
            server.remove(force=True)
            other.remove(force=True)
    finally:
        equal(client.networks.prune()["NetworksDeleted"], ["py"])
    try:
        client.networks.get("py")
        raise AssertionError("no NotFound")
    except NotFound:
        pass


def check_run():
    equal(client.containers.run("busybox", "echo hello", remove=True), b"hello\n")
    equal(client.containers.run("busybox", ["sh", "-c", "echo err >&2; echo out"], stderr=True, stdout=False,
                                remove=True), b"err\n")
    try:
        client.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 7"], remove=True)
        raise AssertionError("no ContainerError")
    except ContainerError as error:
        equal(error.exit_status, 7)
        equal(error.stderr, b"bad\n")
    try:
        client.containers.run("no-such-image-here:none", "true")
        raise AssertionError("no ImageNotFound")
    except (ImageNotFound, APIError):
        pass


def check_run_options():
    out = client.containers.run(
        "busybox", ["sh", "-c", "echo $A; id -un; pwd; hostname; cat /mnt/hostname > /dev/null; mount | grep -c ' /t '"],
        environment={"A": "b"}, user="alice", working_dir="/tmp", hostname="named", remove=True,
        volumes={"/etc": {"bind": "/mnt", "mode": "ro"}}, tmpfs={"/t": "size=1m"}, mem_limit="64m", nano_cpus=500000000,
        pids_limit=50, cap_drop=["ALL"], security_opt=["no-new-privileges"], read_only=True, init=True,
        labels={"x": "y"}, ulimits=[docker.types.Ulimit(name="nofile", soft=100, hard=200)])
    equal(out, b"b\nalice\n/tmp\nnamed\n1\n")


def check_lifecycle():
    container = sleeper(name="cycle", labels={"kind": "cycle"})
    equal([c.name for c in client.containers.list(filters={"label": "kind=cycle"})], ["cycle"])
    equal(container.status, "created")
    container.reload()
    equal(container.status, "running")
    container.pause()
    container.reload()
    equal(container.status, "paused")
    container.unpause()
    container.rename("renamed")
    equal(client.containers.get("renamed").id, container.id)
    container.update(mem_limit="64m", memswap_limit="64m")
    container.restart(timeout=0)
    container.stop(timeout=0)
    equal(container.wait()["StatusCode"], 137)
    container.start()
    container.kill()
    equal(container.wait(condition="not-running")["StatusCode"], 137)
    container.remove(v=True)
    try:
        client.containers.get("renamed")
        raise AssertionError("no NotFound")
    except NotFound as error:
        assert "No such container: renamed" in str(error), error


# docker-py loses output that it receives together with the head of the answer: what is compared here comes later.
PAUSE = "sleep 0.2; "


def check_exec_run():
    container = sleeper()
    equal(tuple(container.exec_run(["sh", "-c", PAUSE + "echo out; exit 3"])), (3, b"out\n"))
    code, (out, err) = container.exec_run(["sh", "-c", PAUSE + "echo out; echo err >&2"], demux=True)
    equal((code, out, err), (0, b"out\n", b"err\n"))
    _, stream = container.exec_run(["sh", "-c", PAUSE + "for i in 1 2 3; do echo $i; sleep 0.1; done"], stream=True)
    equal(b"".join(stream), b"1\n2\n3\n")
    equal(container.exec_run(["sh", "-c", PAUSE + "whoami"], user="alice", environment={"A": "b"}, workdir="/tmp").output, b"alice\n")
    code, sock = container.exec_run(["sh", "-c", "read x; echo got $x"], stdin=True, socket=True)
    sock._sock.sendall(b"typed\n")
    received = b""
    while b"got typed\n" not in received:
        part = sock._sock.recv(4096)
        assert part, received
        received += part
    sock.close()
    container.remove(force=True)


def check_logs():
    container = client.containers.run("busybox", ["sh", "-c", PAUSE + "for i in 1 2 3; do echo $i; sleep 0.2; done; echo e >&2"],
                                      detach=True)
    equal(b"".join(container.logs(stream=True, follow=True, stderr=False)), b"1\n2\n3\n")
    equal(container.logs(tail=1, stderr=False, stdout=True) in (b"", b"3\n"), True)
    equal(container.logs(stdout=False), b"e\n")
    assert container.logs(timestamps=True, stderr=False).split(b" ")[0].endswith(b"Z")
    equal(container.logs(since=int(time.time()) + 1000), b"")
    container.remove()


def check_attach():
    container = client.containers.create("busybox", ["cat"], stdin_open=True)
    sock = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    sock._sock.sendall(b"through\n")
    received = b""
    while b"through\n" not in received:
        part = sock._sock.recv(4096)
        assert part, received
        received += part
    equal(received[:8], b"\x01\0\0\0\0\0\0\x08")
    sock.close()
    container.remove(force=True)


def check_archives():
    container = sleeper()
    equal(container.put_archive("/tmp", archive_of("file", b"content\n")), True)
    equal(container.exec_run(["sh", "-c", PAUSE + "stat -c '%u:%g %a' /tmp/file"]).output, b"1000:1000 640\n")
    chunks, stat = container.get_archive("/tmp/file")
    equal((stat["name"], stat["size"]), ("file", 8))
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        equal(tar.extractfile("file").read(), b"content\n")
    try:
        container.get_archive("/nowhere")
        raise AssertionError("no NotFound")
    except NotFound:
        pass
    container.remove(force=True)


def check_stats():
    container = sleeper(mem_limit="64m")
    once = container.stats(stream=False)
    equal(once["memory_stats"]["limit"], 64 << 20)
    assert once["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    stream = container.stats(decode=True)
    equal([next(stream)["id"] for _ in range(2)], [container.id] * 2)
    stream.close()
    container.remove(force=True)


def check_top_diff_export_commit():
    container = client.containers.run("busybox", ["sh", "-c", "echo x > /new; sleep 100000"], detach=True,
                                      stop_signal="SIGKILL")
    assert any("sleep 100000" in " ".join(row) for row in container.top()["Processes"])
    assert {"Path": "/new", "Kind": 1} in container.diff(), container.diff()
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as tar:
        assert "new" in tar.getnames()
    image = container.commit("committed", "v1", changes=["ENV X=1"])
    assert "X=1" in image.attrs["Config"]["Env"]
    equal(client.containers.run("committed:v1", ["cat", "/new"], remove=True), b"x\n")
    container.remove(force=True)
    client.images.remove("committed:v1")


def check_events():
    seen = []
    stream = client.events(decode=True, filters={"type": "container"})
    reader = threading.Thread(target=lambda: seen.extend(stream), daemon=True)
    reader.start()
    client.containers.run("busybox", ["sh", "-c", "exit 5"], detach=True, name="eventful").wait()
    client.containers.get("eventful").remove()
    deadline = time.time() + 10
    while not any(event["Action"] == "destroy" for event in seen) and time.time() < deadline:
        time.sleep(0.05)
    stream.close()
    equal([event["Action"] for event in seen], ["create", "start", "die", "destroy"])
    equal(seen[2]["Actor"]["Attributes"]["exitCode"], "5")


def check_images():
    image = client.images.pull(REFERENCE)
    equal(image.id, client.images.get("busybox").id)
    equal(image.tag("again", "v1"), True)
    assert "again:v1" in client.images.get("again:v1").tags
    assert any("again:v1" in found.tags for found in client.images.list())
    client.images.remove("again:v1")
    built, log = client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN echo y > /built\n"), tag="built", rm=True)
    assert any("Successfully built" in line.get("stream", "") for line in log)
    equal(client.containers.run(built.id, ["cat", "/built"], remove=True), b"y\n")
    try:
        client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 3\n"), rm=True)
        raise AssertionError("no BuildError")
    except docker.errors.BuildError as error:
        assert "returned a non-zero code: 3" in str(error), error


def check_image_history():
    try:
        assert len(client.images.get("busybox").history()) >= 1
    except APIError as error:
        if error.status_code != 501:
            raise
        raise Skip("the history of images is not implemented yet") from error


def check_volumes_and_networks():
    volume = client.volumes.create("kept", labels={"a": "b"})
    client.containers.run("busybox", ["sh", "-c", "echo v > /data/file"], volumes={"kept": {"bind": "/data"}}, remove=True)
    equal(client.containers.run("busybox", ["cat", "/data/file"], volumes=["kept:/data"], remove=True), b"v\n")
    volume.remove()
    equal(sorted(network.name for network in client.networks.list()), ["bridge", "host", "none"])


def check_prune():
    client.containers.create("busybox", name="pruned")
    equal(len(client.containers.prune()["ContainersDeleted"]), 1)


SOCKET = "unix:/" + client.api.get_adapter(client.api.base_url).socket_path


def main():
    failed = False
    for name, check in sorted(globals().items()):
        if not name.startswith("check_"):
            continue
        try:
            check()
            print(f"ok {name[6:]}", flush=True)
        except Skip as reason:
            print(f"skip {name[6:]}: {reason}", flush=True)
        except BaseException:  # noqa: a failed assertion must not end the other cases
            failed = True
            details = traceback.format_exc().strip().replace("\n", "\\n")
            print(f"not ok {name[6:]}: {details}", flush=True)
        for container in client.containers.list(all=True):
            container.remove(force=True, v=True)
    sys.exit(1 if failed else 0)


main()
