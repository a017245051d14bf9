"""What the tests share: where things lie, running programs, and the rendered manifests."""

import functools
import os
import re
import subprocess
import time
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
KUSTOMIZE = DEPLOY / "kustomize"
MODES = ["kubelet", "cni", "service-ip"]
LAYERS = ["base"] + [f"overlays/{mode}" for mode in MODES]
TMP = Path(os.environ["DEPLOY_TMP"])
HORIZOND = os.environ["HORIZOND"]
PLUGIN = Path(HORIZOND).with_name("horizond-cni")
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
# The longest wait for anything that must happen, in seconds.
BOUND = 20


def run(*command, **more):
    """Runs a program to its end; its outcome is the caller's to judge."""
    more = {"timeout": 60, "stdin": subprocess.DEVNULL, **more}
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)


def output(*command, **more):
    """Runs a program that must succeed, and gives what it prints."""
    done = run(*command, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def wait_for(what, condition):
    """The first true value of the condition."""
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {BOUND} s: {what}")


def for_each(values):
    """A test that is run for each of the values, cleaned up after each; a failure names the value."""
    def wrap(test):
        @functools.wraps(test)
        def all_of_them(self):
            for value in values:
                with self.subTest(value):
                    try:
                        test(self, value)
                    finally:
                        self.doCleanups()
        return all_of_them
    return wrap


@functools.cache
def rendered_text(layer):
    return output("kubectl", "kustomize", KUSTOMIZE / layer)


def rendered(layer):
    return list(yaml.safe_load_all(rendered_text(layer)))


def one(layer, kind):
    """The one object of that kind."""
    [found] = [item for item in rendered(layer) if item["kind"] == kind]
    return found


def pod(layer):
    return one(layer, "DaemonSet")["spec"]["template"]["spec"]


def config_text(layer):
    """The configuration as it comes to lie in the container."""
    return one(layer, "ConfigMap")["data"]["horizond.toml"]


def config(layer):
    return tomllib.loads(config_text(layer))


def addresses(layer):
    """All that is listened on: what is listed, and what the mode brings, here the defaults."""
    settings = config(layer)
    steered = {"cni": ["169.254.20.11"], "service-ip": settings["node"].get("cluster_dns")}
    return settings["listen"]["addresses"] + [
        address for mode in settings["node"]["steer"] for address in steered.get(mode, [])]


def readme():
    return (DEPLOY / "README.md").read_text()


def blocks(language):
    """README.md's blocks in a language, each as lines without comments."""
    found = re.findall(rf"^```{language}\n(.*?)^```", readme(), re.MULTILINE | re.DOTALL)
    return [[line for raw in block.splitlines() if (line := re.sub(r"(^|\s+)# .*", "", raw))]
            for block in found]


def commands():
    """Every command in README.md: lines of its shell blocks, and what is set in code elsewhere."""
    text = re.sub(r"^```.*?^```", "", readme(), flags=re.MULTILINE | re.DOTALL)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]
    lines = [line for block in blocks("sh") for line in block]
    return [part.strip() for line in lines + spans for part in line.split(" && ")]


def unit():
    """The systemd unit's settings, each a list of its values."""
    found = {}
    for line in (DEPLOY / "systemd/horizond.service").read_text().splitlines():
        if match := re.fullmatch(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found
