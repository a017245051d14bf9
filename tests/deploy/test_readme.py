"""What deploy/README.md says, held against what is there: values, paths, links, and its commands as far as
they run without a cluster."""

import json
import re
import shutil
import tomllib
import unittest
from pathlib import Path

import yaml

from common import (DEPLOY, HORIZOND, KUSTOMIZE, MODES, PLUGIN, ROOT, TMP, addresses, blocks, commands, config,
                    for_each, output, pod, readme)

HEADCNI = ROOT / "config/examples/headcni-node.toml"


def of(program):
    """The program's commands, as words."""
    return [command.split()[1:] for command in commands() if command.split()[0] == program]


def rows(heading):
    """The cells of the table whose first row begins so."""
    table = readme().split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in table]


def coded(text):
    return re.findall(r"`([^`]+)`", text)


class Values(unittest.TestCase):
    def test_each_is_where_the_table_says_and_nowhere_else(self):
        files = [path for part in ["kustomize", "kubelet", "cni"] for path in (DEPLOY / part).rglob("*")
                 if path.is_file()]
        table = rows("value")
        self.assertGreater(len(table), 6)
        for row in table:
            for value in coded(row[0]):
                whole = re.compile(rf"(?<![\d.]){re.escape(value)}(?!\d)")
                has = {path.name for path in files
                       if whole.search(re.sub(r"#.*", "", path.read_text()))}
                self.assertEqual(has, set(coded(row[-1])), value)

    def test_an_address_that_stands_here_is_in_the_table(self):
        listed = {value for row in rows("value") for value in coded(row[0])}
        for mode in MODES:
            settings = config(f"overlays/{mode}")
            [cluster] = [route for route in settings["route"] if route["name"] == "cluster"]
            here = {*addresses(f"overlays/{mode}"), *settings["node"].get("cluster_dns", []),
                    *cluster["suffixes"], *cluster["reverse"], *settings["admit"]["allow"],
                    *[upstream.removeprefix("tcp://") for upstream in cluster["upstreams"]]}
            self.assertLessEqual(here - {"node"}, listed)


class Page(unittest.TestCase):
    def test_links_and_paths_lead_somewhere(self):
        links = re.findall(r"\]\(([^)]+)\)", readme())
        self.assertGreater(len(links), 10)
        for link in links:
            path, _, anchor = link.partition("#")
            page = (DEPLOY / path) if path else DEPLOY / "README.md"
            self.assertTrue(page.exists(), link)
            if anchor:
                titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
                anchors = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
                self.assertIn(anchor, anchors)
        paths = {word for command in commands() for word in command.split()
                 if word.startswith(("deploy/", "config/", "tests/"))}
        self.assertGreater(len(paths), 8)
        for path in paths:
            self.assertTrue((ROOT / path).exists(), path)

    def test_every_mode_is_applied_and_taken_away(self):
        for mode in MODES:
            overlay = f"deploy/kustomize/overlays/{mode}"
            done = [words for words in of("kubectl") if words]
            self.assertIn("apply", [words[0] for words in done if overlay in words], mode)
            ends = {overlay, f"{overlay}-undo"}
            self.assertIn("delete", [words[0] for words in done if ends & set(words)], mode)

    def test_horizond_has_what_is_asked_of_it(self):
        for program, name in [(HORIZOND, "horizond"), (PLUGIN, "horizond-cni")]:
            asked = of(name)
            self.assertTrue(asked, name)
            for words in asked:
                verbs = [word for word in words if re.fullmatch(r"[a-z]+", word)]
                words = [word for word in words if word.startswith("--")]
                usage = output(program, *verbs, "--help")
                for option in words:
                    self.assertIn(option, usage, f"{name} {verbs}")

    def site(self):
        """A directory beside this one, as the page has it."""
        site, ours = TMP / "site", TMP / "horizond/deploy"
        self.addCleanup(shutil.rmtree, site)
        self.addCleanup(shutil.rmtree, ours)
        site.mkdir()
        shutil.copytree(DEPLOY, ours)
        return site, "\n".join(blocks("yaml")[0])

    def with_component(self, mode, name):
        """A kustomization of one's own with that line more: valid; and its DaemonSet's pod."""
        site, text = self.site()
        [line] = blocks("yaml")[1]
        line = line.replace("components/headcni", f"components/{name}")
        (site / "kustomization.yaml").write_text(f"{text.replace('kubelet', mode)}\n{line}\n")
        shutil.copy(HEADCNI, site / "horizond.toml")
        rendered = output("kubectl", "kustomize", site)
        (site / "rendered.yaml").write_text(rendered)
        output("kubernetes-validate", "--strict", site / "rendered.yaml")
        [spec] = [item["spec"]["template"]["spec"] for item in yaml.safe_load_all(rendered)
                  if item["kind"] == "DaemonSet"]
        return spec

    @for_each(MODES)
    def test_with_headcni_the_daemon_sees_its_file(self, mode):
        spec = self.with_component(mode, "headcni")
        [container] = spec["containers"]
        [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "cni-conf"]
        [volume] = [volume for volume in spec["volumes"] if volume["name"] == "cni-conf"]
        [read] = [route["headcni_conflist"] for route in tomllib.loads(HEADCNI.read_text())["route"]
                  if "headcni_conflist" in route]
        self.assertEqual({mount["mountPath"], volume["hostPath"]["path"]}, {str(Path(read).parent)})
        self.assertTrue(mount["readOnly"])

    @for_each(MODES + ["cni-undo"])
    def test_with_selinux_every_container_may_work_on_the_host_and_no_more_than_before(self, mode):
        spec, before = self.with_component(mode, "selinux"), pod(f"overlays/{mode}")
        self.assertEqual(spec["securityContext"].pop("seLinuxOptions"), {"type": "spc_t"})
        self.assertEqual(spec["securityContext"], before["securityContext"])
        for part in ["containers", "initContainers"]:
            self.assertEqual([container["securityContext"] for container in spec.get(part, [])],
                             [container["securityContext"] for container in before.get(part, [])])

    def test_a_kustomization_of_one_s_own(self):
        site, text = self.site()
        settings = (KUSTOMIZE / "overlays/kubelet/horizond.toml").read_text() + "# changed\n"
        (site / "horizond.toml").write_text(settings)
        # Of all modes: cni has a second container with the image.
        for mode in MODES + ["cni-undo"]:
            (site / "kustomization.yaml").write_text(text.replace("overlays/kubelet", f"overlays/{mode}"))
            items = {item["kind"]: item
                     for item in yaml.safe_load_all(output("kubectl", "kustomize", site))}
            spec = items["DaemonSet"]["spec"]["template"]["spec"]
            images = {container["image"].partition(":")[0]
                      for container in spec["containers"] + spec.get("initContainers", [])}
            self.assertEqual(images, {"registry.example/horizond"})
            self.assertEqual(items["ConfigMap"]["data"], {"horizond.toml": settings})
            names = [volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume]
            self.assertEqual(names, [items["ConfigMap"]["metadata"]["name"]])

    def test_k3s_is_told_the_same_address(self):
        [*_, k3s] = [yaml.safe_load("\n".join(lines)) for lines in blocks("yaml")]
        [address] = addresses("overlays/kubelet")
        self.assertEqual(k3s, {"kubelet-arg": [f"cluster-dns={address}"]})

    def test_pods_that_may_still_name_us_are_found(self):
        [line] = [line for block in blocks("sh") for line in block if "| jq -r" in line]
        program = re.search(r"'(.*)'", line)[1]
        pods = [("old", "2026-01-31T00:00:00Z", "ClusterFirst", False),
                ("new", "2026-02-02T00:00:00Z", "ClusterFirst", False),
                ("host", "2026-01-31T00:00:00Z", "ClusterFirst", True),
                ("both", "2026-01-31T00:00:00Z", "ClusterFirstWithHostNet", True),
                ("own", "2026-01-31T00:00:00Z", "Default", False)]
        items = [{"metadata": {"namespace": "a", "name": name}, "status": {"startTime": time},
                  "spec": {"dnsPolicy": policy, **({"hostNetwork": True} if host else {})}}
                 for name, time, policy, host in pods]
        path = TMP / "pods.json"
        path.write_text(json.dumps({"items": items}))
        found = output("jq", "-r", "--arg", "before", "2026-02-01T12:00:00Z", program, path)
        self.assertEqual(found.splitlines(), ["a old", "a both"])
