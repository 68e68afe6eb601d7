"""The kustomizations: valid to kubectl and Kubernetes' schemas, their commands to our parsers, closed by policies."""

from __future__ import annotations

import copy
import functools
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest

from agentrl.cli.view import _parser
from tests.deploy.reading import DEPLOY, VLLM, called, configured, kustomized, pods, value

CPU, GPU = "base", "overlays/gpu"
BOTH = pytest.mark.parametrize("folder", [CPU, GPU])
OLDEST, NEWEST = "1.29", kubernetes_validate.latest_version()  # of Kubernetes


def _words(template: dict[str, Any]) -> list[str]:
    (container,) = template["spec"]["containers"]
    return [*container["command"], *container.get("args", [])]


def _environment(template: dict[str, Any]) -> dict[str, str]:
    (container,) = template["spec"]["containers"]
    return {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}


@functools.cache
def _objects(folder: str, kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in kustomized(folder) if each["kind"] == kind}


@BOTH
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_fits_the_schema(folder: str, version: str) -> None:
    made = kustomized(folder)
    assert {"Namespace", "PersistentVolumeClaim", "NetworkPolicy", "Job", "Deployment"} <= {
        each["kind"] for each in made
    }
    for each in made:
        kubernetes_validate.validate(copy.deepcopy(each), version, strict=True)


def test_the_schema_would_refuse_a_slip() -> None:
    job = copy.deepcopy(_objects(CPU, "Job")["trainer"])
    job["spec"]["template"]["spec"]["terminationGracePeriod"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, NEWEST, strict=True)


@BOTH
def test_the_trainer_s_command_begins_a_run(folder: str, tmp_path: Path) -> None:
    trainer = pods(folder)["trainer"]
    config = configured(called(_words(trainer), _environment(trainer), tmp_path))
    assert config.name == "first"
    assert config.env_workers == "ray:8"
    assert config.engine.name == ("vllm" if folder == GPU else "torch")
    assert list(config.engine.urls) == _environment(trainer).get("SERVERS", "").split()


@BOTH
def test_workers_have_the_places_that_the_run_asks_for(folder: str) -> None:
    made = _objects(folder, "Deployment")["ray-worker"]
    places = made["spec"]["replicas"] * int(value(_words(made["spec"]["template"]), "--num-cpus"))
    assert f"ray:{places}" == value(_words(pods(folder)["trainer"]), "--env-workers")


@BOTH
def test_the_job_is_torchrun_s_hosts(folder: str) -> None:
    job = _objects(folder, "Job")["trainer"]["spec"]
    environment = _environment(job["template"])
    assert str(job["completions"]) == str(job["parallelism"]) == environment["NODES"]
    name, _, service = environment["MASTER"].partition(".")
    assert name == "trainer-0"  # an indexed job's first pod
    assert service == job["template"]["spec"]["subdomain"] == _objects(folder, "Service")["trainer"]["metadata"]["name"]
    gpus = job["template"]["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu", "1")
    assert environment["RANKS"] == gpus
    assert int(environment["GRACE_S"]) < job["template"]["spec"]["terminationGracePeriodSeconds"]


@BOTH
def test_what_is_named_is_there(folder: str) -> None:
    made, services = pods(folder), _objects(folder, "Service")
    environment = _environment(made["trainer"])
    for each in services.values():
        assert each["spec"]["clusterIP"] == "None"
        chosen = [pod for pod in made.values() if each["spec"]["selector"].items() <= pod["metadata"]["labels"].items()]
        assert len(chosen) == 1, each["metadata"]["name"]
    assert environment["RAY_ADDRESS"] == value(_words(made["ray-worker"]), "--address")
    assert environment["RAY_ADDRESS"] == f"ray-head:{value(_words(made['ray-head']), '--port')}"
    assert "ray-head" in services
    claims = _objects(folder, "PersistentVolumeClaim")
    for pod in made.values():
        named = {
            each["persistentVolumeClaim"]["claimName"]
            for each in pod["spec"]["volumes"]
            if len(each) == 2 and "persistentVolumeClaim" in each
        }
        assert named <= set(claims)
    assert all(each["spec"]["accessModes"] == ["ReadWriteMany"] for each in claims.values())


def test_every_server_is_named_and_reached_at_its_port() -> None:
    made = pods(GPU)
    environment = _environment(made["trainer"])
    servers = _objects(GPU, "StatefulSet")["vllm"]["spec"]
    port = value(_words(made["vllm"]), "--port")
    assert environment["SERVERS"].split() == [f"http://vllm-{each}.vllm:{port}" for each in range(servers["replicas"])]
    assert servers["serviceName"] == "vllm"
    assert _words(made["vllm"])[:3] == VLLM
    assert value(_words(made["vllm"]), "--model") == value(_words(made["trainer"]), "--model")
    policies = _objects(GPU, "NetworkPolicy")
    (let_in,) = policies["vllm"]["spec"]["ingress"]
    assert [str(each["port"]) for each in let_in["ports"]] == [port]
    assert [each["podSelector"]["matchLabels"] for each in let_in["from"]] == [{"app": "trainer"}]
    (fetched,) = policies["trainer"]["spec"]["ingress"]
    assert urlsplit(f"//{environment['WEIGHTS_HOST']}").port == fetched["ports"][0]["port"]
    assert environment["WEIGHTS_HOST"].startswith(environment["MASTER"] + ":")


@BOTH
def test_nothing_passes_that_no_policy_names(folder: str) -> None:
    policies = _objects(folder, "NetworkPolicy")
    assert policies["nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    # Of all that is let in, nothing comes from anywhere but the pods of this namespace.
    for each in policies.values():
        for rule in each["spec"].get("ingress", []):
            assert [sorted(source) for source in rule["from"]] == [["podSelector"]]
    members = {name for name, pod in pods(folder).items() if pod["metadata"]["labels"].get("agentrl/ray") == "member"}
    assert members == {"trainer", "ray-head", "ray-worker"}
    (block,) = policies["outside"]["spec"]["egress"]
    assert "169.254.0.0/16" in block["to"][0]["ipBlock"]["except"]  # the cloud's credentials


@BOTH
def test_every_pod_fits_the_restricted_standard(folder: str) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards, which the namespace enforces.
    labels = _objects(folder, "Namespace")["agentrl"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, pod in pods(folder).items():
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert {kind for each in spec["volumes"] for kind in each} <= {"name", "emptyDir", "persistentVolumeClaim"}, (
            name
        )
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name  # VLLM_PORT of a service means something else to vLLM
        for container in spec["containers"]:
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False, name
            assert rights["capabilities"] == {"drop": ["ALL"]}, name
            assert rights["readOnlyRootFilesystem"] is True, name
            assert "memory" in container["resources"]["limits"], name


@BOTH
def test_the_viewer_listens_to_its_own_pod(folder: str) -> None:
    viewer = pods(folder)["viewer"]
    options = _parser().parse_args(_words(viewer)[2:])
    assert options.host == "127.0.0.1"
    assert f"('127.0.0.1', {options.port})" in str(viewer["spec"]["containers"][0]["readinessProbe"])
    assert "viewer" not in _objects(folder, "Service")
    mounted = {each["name"]: each.get("readOnly", False) for each in viewer["spec"]["containers"][0]["volumeMounts"]}
    assert mounted["runs"] is True


@BOTH
def test_all_pods_have_the_same_image(folder: str) -> None:
    assert {each["image"] for pod in pods(folder).values() for each in pod["spec"]["containers"]} == {"agentrl:latest"}


def test_what_boxes_need_goes_to_the_workers_alone(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "overlays" / "mine"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text("resources: [../gpu]\ncomponents: [../../components/boxes]\n")
    made = kustomized(str(overlay))
    for each in made:
        kubernetes_validate.validate(copy.deepcopy(each), NEWEST, strict=True)
    masked = {
        name: "procMount" not in container["securityContext"]
        for name, pod in pods(str(overlay)).items()
        for container in pod["spec"]["containers"]
    }
    assert masked == {name: name != "ray-worker" for name in pods(GPU)}
    worker = pods(str(overlay))["ray-worker"]["spec"]
    assert worker["hostUsers"] is False
    assert worker["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
    assert worker["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
