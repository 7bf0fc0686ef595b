"""Which commands there are, and where each is: help lists them without importing one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: its module in ``weft.cli`` and its function there."""

    name: str
    place: str
    help: str


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    entries: tuple[Entry, ...]


SECTIONS = (
    Section(
        "Run",
        (
            Entry("up", "local:up", "Run the control plane and the workloads of a weft.yaml."),
            Entry("demo", "local:demo", "Run Color App, the example mesh, with some traffic."),
            Entry("start", "local:start", "Bring a stopped workload of a running weft up back."),
            Entry(
                "stop", "local:stop", "Take a workload of a running weft up down, and keep it down."
            ),
            Entry(
                "restart",
                "local:restart",
                "Replace workloads of a running weft up, without a failed request.",
            ),
            Entry("serve", "local:serve", "Run the control plane alone."),
            Entry("sidecar", "local:sidecar", "Run Envoy beside one workload."),
        ),
    ),
    Section(
        "Look",
        (
            Entry("status", "status:status", "The whole mesh on one screen."),
            Entry("get", "resources:get", "List what there is of a kind."),
            Entry("describe", "resources:describe", "Everything about one thing."),
            Entry("check", "check:check", "Find out what is wrong, and what to do about it."),
            Entry("why", "why:why", "Explain where a request to a service would go."),
            Entry("wait", "wait:wait", "Wait until every proxy has accepted a revision."),
        ),
    ),
    Section(
        "Change",
        (
            Entry("split", "split:split", "Show or set how a service's traffic is shared."),
            Entry(
                "policy",
                "policy:policy",
                "Show or set policies that App Mesh has none of, such as reroute.",
            ),
            Entry("apply", "files:apply", "Make the mesh as files say."),
            Entry("diff", "files:diff", "Show what apply would change."),
            Entry("export", "export:export", "Write a mesh as files."),
            Entry("stack", "stack:stack", "Stacks made of CloudFormation templates."),
            Entry("delete", "resources:delete", "Delete resources by name."),
            Entry("changes", "history:changes", "Who changed what, newest first."),
            Entry("change", "history:change", "What one revision changed, place by place."),
            Entry("revert", "history:revert", "Undo a revision by a new one."),
        ),
    ),
    Section(
        "Set up",
        (
            Entry("cert", "cert:cert", "Certificates and authorities by ARN."),
            Entry("token", "token:token", "Make, list and revoke credentials."),
            Entry("env", "env:env", "Print settings that point the AWS CLI at this mesh."),
            Entry(
                "completion",
                "about:completion",
                "Print a script that completes commands and live names.",
            ),
            Entry(
                "version",
                "about:version",
                "Versions of this client and of the control plane, if one answers.",
            ),
            Entry(
                "explain",
                "explain:explain",
                "Explain a code of weft check, or a field of a definition.",
            ),
            Entry("help", "about:help", "Explain a command or a topic."),
        ),
    ),
)

ENTRIES = {entry.name: entry for section in SECTIONS for entry in section.entries}
