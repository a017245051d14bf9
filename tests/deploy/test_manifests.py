"""The manifests: rendered by kubectl, valid by Kubernetes' schemas, and at one with each other, with the
daemon and with what README.md says."""

import ipaddress
import unittest

import yaml

from common import (DEPLOY, HORIZOND, KUSTOMIZE, LAYERS, MODES, TMP, VERSION, addresses, config, config_text,
                    for_each, one, output, pod, rendered, rendered_text, run)


def validate(text):
    path = TMP / "object.yaml"
    path.write_text(text)
    return run("kubernetes-validate", "--strict", path)


def check(layer):
    path = TMP / "horizond.toml"
    path.write_text(config_text(layer))
    return run(HORIZOND, "check", "--config", path)


class Manifests(unittest.TestCase):
    @for_each(LAYERS)
    def test_the_schemas_hold(self, layer):
        done = validate(rendered_text(layer))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count(" passed "), len(rendered(layer)), done.stdout)

    def test_the_validator_sees_a_misspelt_key(self):
        good = rendered_text("base")
        bad = good.replace("priorityClassName:", "priorityclassName:")
        self.assertNotEqual(good, bad)
        self.assertNotEqual(validate(bad).returncode, 0)

    def test_the_network_policy_is_valid_and_names_what_pods_ask(self):
        text = (KUSTOMIZE / "networkpolicy.yaml").read_text()
        done = validate(text)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        [rule] = yaml.safe_load(text)["spec"]["egress"]
        allowed = {to["ipBlock"]["cidr"] for to in rule["to"]}
        asked = {f"{address}/32" for mode in MODES for address in addresses(f"overlays/{mode}")}
        self.assertEqual(asked, allowed)
        self.assertEqual({(53, "UDP"), (53, "TCP")}, {(p["port"], p["protocol"]) for p in rule["ports"]})

    @for_each(LAYERS)
    def test_every_configuration_is_good(self, layer):
        done = check(layer)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\A[^\n]*: good: [^\n]*\n\Z")

    def test_the_base_steers_nobody(self):
        self.assertEqual(config("base")["node"]["steer"], [])

    @for_each(MODES)
    def test_each_overlay_asks_for_its_mode(self, mode):
        self.assertEqual(config(f"overlays/{mode}")["node"]["steer"], [mode])

    @for_each(LAYERS)
    def test_the_pod_may_do_what_it_needs_and_no_more(self, layer):
        spec = pod(layer)
        self.assertEqual(one(layer, "DaemonSet")["metadata"]["namespace"], "kube-system")
        self.assertTrue(spec["hostNetwork"])
        self.assertFalse(spec["automountServiceAccountToken"])
        self.assertEqual(spec["priorityClassName"], "system-node-critical")
        self.assertEqual(spec["tolerations"], [{"operator": "Exists"}])
        for container in spec["containers"] + spec.get("initContainers", []):
            may = container["securityContext"]
            self.assertTrue(may["readOnlyRootFilesystem"])
            self.assertFalse(may["allowPrivilegeEscalation"])
            self.assertNotIn("privileged", may)
            self.assertEqual(may["capabilities"]["drop"], ["ALL"])
            self.assertEqual(container["image"], f"localhost/horizond:{VERSION}")

    @for_each(LAYERS)
    def test_pod_and_configuration_agree(self, layer):
        spec, settings = pod(layer), config(layer)
        [container] = spec["containers"]
        [port] = container["ports"]
        # The kubelet probes the node's address, not loopback.
        self.assertEqual(settings["admin"]["address"], f"0.0.0.0:{port['containerPort']}")
        for probe, path in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]:
            self.assertEqual(container[probe]["httpGet"], {"path": path, "port": port["name"]})
        # The default of [listen] drain, and a netlink request's limit.
        self.assertNotIn("drain", settings["listen"])
        self.assertGreater(spec["terminationGracePeriodSeconds"], 5 + 5)
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        self.assertEqual(mounts["config"]["mountPath"], "/etc/horizond")
        self.assertEqual(volumes["config"]["configMap"]["name"],
                         one(layer, "ConfigMap")["metadata"]["name"])
        self.assertEqual(mounts["run"]["mountPath"], volumes["run"]["hostPath"]["path"])

    def test_it_goes_to_each_node_that_it_can_serve_and_to_no_other(self):
        spec = pod("base")
        [term] = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
            "nodeSelectorTerms"]

        def goes_to(labels):
            self.assertEqual({wanted["operator"] for wanted in term["matchExpressions"]}, {"NotIn"})
            return (spec["nodeSelector"].items() <= labels.items()
                    and all(labels.get(unwanted["key"]) not in unwanted["values"]
                            for unwanted in term["matchExpressions"]))

        node = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        self.assertTrue(goes_to(node))
        self.assertTrue(goes_to({**node, "eks.amazonaws.com/compute-type": "ec2", "type": "large"}))
        for other in [{"kubernetes.io/os": "windows"}, {"kubernetes.io/arch": "arm64"},
                      {"type": "virtual-kubelet"}, {"eks.amazonaws.com/compute-type": "fargate"}]:
            self.assertFalse(goes_to({**node, **other}), other)

    def test_a_changed_configuration_is_rolled_out(self):
        names = {one(layer, "ConfigMap")["metadata"]["name"] for layer in LAYERS}
        self.assertEqual(len(names), len(LAYERS))

    def test_the_plugin_is_told_the_cluster_s_dns(self):
        [container] = pod("overlays/cni")["initContainers"]
        _, verb, *words = container["command"]
        told = [words[i + 1] for i, word in enumerate(words) if word == "--cluster-dns"]
        self.assertEqual((verb, told), ("install", config("overlays/cni")["node"]["cluster_dns"]))

    def test_the_way_out_of_cni_differs_in_what_the_init_container_does_alone(self):
        undo, mode = rendered("overlays/cni-undo"), rendered("overlays/cni")
        done = validate(rendered_text("overlays/cni-undo"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotEqual(undo, mode)
        for item in undo + mode:
            if item["kind"] == "DaemonSet":
                [container] = item["spec"]["template"]["spec"]["initContainers"]
                del container["command"]
        self.assertEqual(undo, mode)

    def test_the_kubelet_names_where_the_daemon_listens(self):
        drop_in = yaml.safe_load((DEPLOY / "kubelet/20-horizond.conf").read_text())
        self.assertEqual(drop_in["clusterDNS"], config("overlays/kubelet")["listen"]["addresses"])

    def test_the_service_ip_does_not_loop(self):
        layer = "overlays/service-ip"
        service, settings = one(layer, "Service")["spec"], config(layer)
        [cluster] = [route for route in settings["route"] if route["name"] == "cluster"]
        self.assertEqual(cluster["upstreams"], [f"tcp://{service['clusterIP']}"])
        self.assertNotIn(service["clusterIP"], addresses(layer))
        # The Service that pods know, which is the other modes' upstream.
        [other] = [r for r in config("overlays/kubelet")["route"] if r["name"] == "cluster"]
        [known] = [upstream.removeprefix("tcp://") for upstream in other["upstreams"]]
        self.assertEqual([known], settings["node"]["cluster_dns"])
        services = ipaddress.ip_network(cluster["reverse"][0])
        self.assertIn(ipaddress.ip_address(service["clusterIP"]), services)

    def test_kubectl_is_new_enough(self):
        self.assertIn("Kustomize Version: v5.", output("kubectl", "version", "--client"))
