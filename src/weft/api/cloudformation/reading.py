"""Operations that only look: stacks, resources, events, templates, exports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.api.cloudformation import changesets, inputs, shapes
from weft.api.cloudformation.engine import Stacks
from weft.api.cloudformation.refusals import ValidationError, no_stack
from weft.api.exchange import Call
from weft.api.surfaces import Operation, Reply
from weft.errors import Invalid
from weft.manifests.cloudformation import parameters
from weft.manifests.cloudformation.reading import refuse
from weft.manifests.cloudformation.stack import (
    Events,
    Stack,
    StackResource,
    deleted_stacks,
    exports,
    importers,
    stack_named,
    stacks,
)
from weft.manifests.cloudformation.template import Template, parse

Members = dict[str, Any]


def template_of(text: str) -> Template:
    """A template, or the ValidationError that lists what is wrong with it."""
    try:
        template = parse(text)
        findings = [
            each for name, it in template.parameters.items() for each in parameters.shape(name, it)
        ]
        refuse(template.document, findings)
    except Invalid as error:
        raise malformed(error) from None
    return template


def malformed(error: Invalid) -> ValidationError:
    """Every problem in one message, the first where AWS would say it."""
    texts = [str(each) for each in error.problems]
    head = "Template format error: " if texts and "not " in texts[0][:40] else ""
    return ValidationError(f"Template error: {head}" + "; ".join(texts))


class Reading:
    def __init__(self, engine: Stacks) -> None:
        self._engine = engine

    def operations(self) -> Mapping[str, Operation]:
        return {
            "DescribeAccountLimits": self.account_limits,
            "DescribeStackEvents": self.events,
            "DescribeStackResource": self.resource,
            "DescribeStackResources": self.resources,
            "DescribeStacks": self.describe,
            "GetStackPolicy": self.stack_policy,
            "GetTemplate": self.template,
            "GetTemplateSummary": self.template_summary,
            "ListExports": self.list_exports,
            "ListImports": self.list_imports,
            "ListStackResources": self.list_resources,
            "ListStacks": self.list_stacks,
            "ValidateTemplate": self.validate,
        }

    def _stack(self, members: Members) -> Stack:
        name = inputs.stack_name(members)
        found = stack_named(self._engine.state, name)
        if found is None:
            raise no_stack(name)
        return found

    async def describe(self, _call: Call, members: Members) -> Reply:
        if inputs.text(members, "StackName"):
            return Reply({"Stacks": [shapes.stack(self._stack(members))]})
        chosen, token = inputs.page(stacks(self._engine.state), members)
        return Reply({"Stacks": [shapes.stack(each) for each in chosen], "NextToken": token})

    async def list_stacks(self, _call: Call, members: Members) -> Reply:
        wanted = inputs.texts(members, "StackStatusFilter")
        found = [*stacks(self._engine.state), *deleted_stacks(self._engine.state)]
        found = [each for each in found if not wanted or each.status in wanted]
        chosen, token = inputs.page(found, members)
        return Reply(
            {"StackSummaries": [shapes.summary(each) for each in chosen], "NextToken": token}
        )

    async def events(self, _call: Call, members: Members) -> Reply:
        stack = self._stack(members)
        rows = Events(self._engine.state, stack.uuid)
        chosen, token = inputs.page(rows, members)
        return Reply(
            {"StackEvents": [shapes.event(stack, each) for each in chosen], "NextToken": token}
        )

    # --- resources -----------------------------------------------------------------------

    async def resource(self, _call: Call, members: Members) -> Reply:
        stack = self._stack(members)
        found = self._resource(stack, inputs.needed(members, "LogicalResourceId"))
        shown = shapes.resource(stack, found, time="LastUpdatedTimestamp")
        return Reply({"StackResourceDetail": shown})

    def _resource(self, stack: Stack, logical_id: str) -> StackResource:
        found = stack.resources.get(logical_id)
        if found is None:
            raise ValidationError(
                f"Resource {logical_id[:255]} does not exist for stack {stack.name}"
            )
        return found

    async def resources(self, _call: Call, members: Members) -> Reply:
        physical = inputs.text(members, "PhysicalResourceId")
        logical = inputs.text(members, "LogicalResourceId")
        if physical and inputs.text(members, "StackName"):
            raise ValidationError("Give StackName or PhysicalResourceId, not both")
        stack = self._owner(physical) if physical else self._stack(members)
        found = [each for each in stack.resources.values() if logical in ("", each.logical_id)]
        if logical and not found:
            raise ValidationError(f"Resource {logical[:255]} does not exist for stack {stack.name}")
        # AWS answers with the first hundred here; ListStackResources has pages.
        shown = [shapes.resource(stack, each, time="Timestamp") for each in found[: inputs.PAGE]]
        return Reply({"StackResources": shown})

    def _owner(self, physical_id: str) -> Stack:
        for stack in stacks(self._engine.state):
            if any(each.physical_id == physical_id for each in stack.resources.values()):
                return stack
        raise ValidationError(f"Stack for {physical_id[:255]} does not exist")

    async def list_resources(self, _call: Call, members: Members) -> Reply:
        stack = self._stack(members)
        chosen, token = inputs.page([*stack.resources.values()], members)
        shown = [shapes.resource(stack, each, time="LastUpdatedTimestamp") for each in chosen]
        for each in shown:
            del each["StackName"], each["StackId"]
        return Reply({"StackResourceSummaries": shown, "NextToken": token})

    # --- templates -----------------------------------------------------------------------

    async def template(self, _call: Call, members: Members) -> Reply:
        name = inputs.text(members, "ChangeSetName")
        if name:
            found = changesets.named(self._engine.state, name, inputs.text(members, "StackName"))
            body = found.template
        else:
            body = self._stack(members).template
        return Reply({"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]})

    async def template_summary(self, _call: Call, members: Members) -> Reply:
        body = inputs.template_body(members)
        if body is None:
            if not inputs.text(members, "StackName"):
                raise ValidationError("Either StackName or TemplateBody must be specified")
            body = self._stack(members).template
        template = template_of(body)
        types = sorted({each.type for each in template.resources.values()})
        return Reply(
            {
                "Parameters": shapes.declared_parameters(template, whole=True),
                "Description": template.description or None,
                "Capabilities": list(template.capabilities),
                "CapabilitiesReason": template.capabilities_reason,
                "ResourceTypes": types,
                "Version": template.document.value.get("AWSTemplateFormatVersion"),
                "DeclaredTransforms": list(template.transforms),
            }
        )

    async def validate(self, _call: Call, members: Members) -> Reply:
        body = inputs.template_body(members)
        if body is None:
            raise ValidationError("Either Template URL or Template Body must be specified.")
        template = template_of(body)
        return Reply(
            {
                "Parameters": shapes.declared_parameters(template, whole=False),
                "Description": template.description or None,
                "Capabilities": list(template.capabilities),
                "CapabilitiesReason": template.capabilities_reason,
                "DeclaredTransforms": list(template.transforms),
            }
        )

    async def stack_policy(self, _call: Call, members: Members) -> Reply:
        self._stack(members)
        return Reply({})

    # --- exports -------------------------------------------------------------------------

    async def list_exports(self, _call: Call, members: Members) -> Reply:
        chosen, token = inputs.page([*exports(self._engine.state).values()], members)
        return Reply(
            {
                "Exports": [
                    {"ExportingStackId": each.stack_id, "Name": each.name, "Value": each.value}
                    for each in chosen
                ],
                "NextToken": token,
            }
        )

    async def list_imports(self, _call: Call, members: Members) -> Reply:
        name = inputs.needed(members, "ExportName")
        if name not in exports(self._engine.state):
            raise ValidationError(f"Export '{name[:255]}' does not exist.")
        found = importers(self._engine.state, name)
        if not found:
            raise ValidationError(f"Export '{name[:255]}' is not imported by any stack.")
        chosen, token = inputs.page(found, members)
        return Reply({"Imports": list(chosen), "NextToken": token})

    async def account_limits(self, _call: Call, members: Members) -> Reply:
        return Reply({"AccountLimits": []})
