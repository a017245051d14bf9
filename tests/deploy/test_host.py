"""What is not Kubernetes': the systemd unit, the CNI configurations and Prometheus' part."""

import json
import os
import re
import shutil
import unittest

import yaml

from common import DEPLOY, HORIZOND, PLUGIN, ROOT, TMP, addresses, config, pod, run, unit

# A plugin that says which versions it knows, in place of those that are not built here.
ANY_PLUGIN = """#!/bin/sh
echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}'
"""


class Unit(unittest.TestCase):
    def setUp(self):
        # Where the binary lies is the one thing that differs here: `verify` looks for it.
        text = (DEPLOY / "systemd/horizond.service").read_text()
        self.path = TMP / "horizond.service"
        self.path.write_text(text.replace("/usr/local/bin/horizond", HORIZOND))
        self.text = text

    def test_systemd_understands_every_line(self):
        done = run("systemd-analyze", "verify", "--man=no", self.path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.path.write_text(self.path.read_text().replace("ProtectHome=", "ProtectHomes="))
        self.assertIn("ProtectHomes", run("systemd-analyze", "verify", "--man=no", self.path).stderr)

    def test_its_exposure_is_low(self):
        # On a scale to 10.0; what is left is the network and the two capabilities.
        done = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", self.path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_it_is_allowed_what_the_pod_is(self):
        [container] = pod("base")["containers"]
        wanted = {f"CAP_{name}" for name in container["securityContext"]["capabilities"]["add"]}
        for key in ["AmbientCapabilities", "CapabilityBoundingSet"]:
            self.assertEqual(set(unit()[key][0].split()), wanted)


    def test_it_is_run_as_the_pod_is(self):
        settings = {key: values[0] for key, values in unit().items()}
        spec = pod("base")
        [container] = spec["containers"]
        paths = {volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume}
        self.assertEqual(paths, {f"/run/{settings['RuntimeDirectory']}"})
        # The plugin's records are to outlive a restart, as they do where the directory is the node's.
        self.assertEqual(settings["RuntimeDirectoryPreserve"], "yes")
        self.assertEqual(settings["MemoryMax"] + "i", container["resources"]["limits"]["memory"])
        self.assertEqual(settings["TimeoutStopSec"], f"{spec['terminationGracePeriodSeconds']}s")
        self.assertIn("kubelet.service", settings["Before"].split())
        # TCP clients and the ports of every route, of the largest configuration here.
        self.assertGreater(int(settings["LimitNOFILE"]), 1024 + 64 * 16 * 2)


class Conflists(unittest.TestCase):
    def lists(self):
        found = sorted((DEPLOY / "cni").glob("*.conflist"))
        self.assertEqual(len(found), 2)
        return [json.loads(path.read_text()) for path in found]

    def test_the_runtimes_library_accepts_them(self):
        # podman's CNI backend reads a directory of them with the library that container runtimes use,
        # which also asks each plugin for the versions that it knows.
        nets, plugins = TMP / "net.d", TMP / "plugins"
        shutil.copytree(DEPLOY / "cni", nets)
        plugins.mkdir()
        for name in {plugin["type"] for conflist in self.lists() for plugin in conflist["plugins"]}:
            if name == PLUGIN.name:
                (plugins / name).symlink_to(PLUGIN)
            else:
                (plugins / name).write_text(ANY_PLUGIN)
                (plugins / name).chmod(0o755)
        conf = TMP / "cni.conf"
        base = (TMP / "containers.conf").read_text()
        conf.write_text(f'{base}[network]\nnetwork_backend = "cni"\n'
                        f'cni_plugin_dirs = ["{plugins}"]\nnetwork_config_dir = "{nets}"\n')
        done = run("podman", "network", "ls", "--format", "{{.Name}}",
                   env={**os.environ, "CONTAINERS_CONF": str(conf)})
        for conflist in self.lists():
            self.assertIn(conflist["name"], done.stdout.split(), done.stderr)

    def test_the_plugin_comes_last_and_names_the_daemon(self):
        settings = config("overlays/cni")
        for conflist in self.lists():
            plugin = conflist["plugins"][-1]
            self.assertEqual(plugin["type"], "horizond-cni")
            self.assertTrue(plugin["capabilities"]["dns"])
            named = set(plugin["nameservers"] + plugin["standIns"])
            self.assertEqual(named, set(addresses("overlays/cni")))
            self.assertEqual(plugin["clusterDNS"], settings["node"]["cluster_dns"])


class Scrape(unittest.TestCase):
    def setUp(self):
        self.text = (DEPLOY / "prometheus/scrape.yml").read_text()
        self.pods, self.hosts = yaml.safe_load(self.text)["scrape_configs"]

    def promtool(self, document):
        path = TMP / "scrape.yml"
        path.write_text(yaml.safe_dump(document))
        return run("promtool", "check", "config", path)

    def test_promtool_accepts_it(self):
        whole = self.promtool({"scrape_configs": [self.pods, self.hosts]})
        if whole.returncode == 0:
            return
        # Debian's promtool is built without discovery in Kubernetes: it must complain of that alone.
        self.assertIn("field kubernetes_sd_configs not found", whole.stderr)
        rest = {key: value for key, value in self.pods.items() if key != "kubernetes_sd_configs"}
        rest = self.promtool({"scrape_configs": [rest, self.hosts]})
        self.assertEqual(rest.returncode, 0, rest.stderr)

    def test_the_alerts_fire_when_they_should_and_not_when_not(self):
        directory = TMP / "alerts"
        directory.mkdir()
        shutil.copy(DEPLOY / "prometheus/alerts.yml", directory)
        shutil.copy(ROOT / "tests/deploy/alerts.test.yml", directory)
        done = run("promtool", "test", "rules", directory / "alerts.test.yml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        # Each has its place in the story.
        rules = yaml.safe_load((directory / "alerts.yml").read_text())["groups"][0]["rules"]
        story = (directory / "alerts.test.yml").read_text()
        self.assertEqual({rule["alert"] for rule in rules}, set(re.findall(r'alertname="(\w+)"', story)))
        self.assertEqual(yaml.safe_load(self.text)["rule_files"], ["alerts.yml"])
        jobs = {job["job_name"] for job in (self.pods, self.hosts)}
        self.assertEqual(set(re.search(r'job=~"([^"]+)"', rules[0]["expr"])[1].split("|")), jobs)

    def test_promtool_sees_a_misspelt_key(self):
        bad = self.promtool({"scrape_configs": [{**self.hosts, "scrape_intervall": "15s"}]})
        self.assertIn("scrape_intervall", bad.stderr)

    def test_it_finds_the_pods(self):
        [discovery] = self.pods["kubernetes_sd_configs"]
        self.assertEqual(discovery["role"], "pod")
        self.assertEqual(discovery["selectors"],
                         [{"role": "pod", "label": "app.kubernetes.io/name=horizond"}])
        [port] = pod("base")["containers"][0]["ports"]
        self.assertEqual(self.pods["relabel_configs"][0]["regex"], port["name"])
        self.assertEqual(self.hosts["static_configs"][0]["targets"][0].rpartition(":")[2],
                         str(port["containerPort"]))
