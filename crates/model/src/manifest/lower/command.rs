//! Triggers whose commands run once.

use std::time::Duration;

use super::super::value::{Node, Value};
use super::Lowering;
use super::http::DEFAULT_ENTRYPOINT;
use crate::app::{CommandTrigger, ComponentId, Executor, Trigger, TriggerKind};

impl Lowering<'_, '_> {
    pub(super) fn command_trigger(
        &mut self,
        node: &Node,
        id: &str,
        path: &str,
    ) -> Option<CommandTrigger> {
        let handler = node.get("component")?;
        let component = self.handler(handler, id, true, &format!("{path}.component"))?;
        let executor =
            Executor::Wagi { entrypoint: DEFAULT_ENTRYPOINT.to_owned(), argv: String::new() };
        Some(CommandTrigger { component, executor, arguments: node.texts("args") })
    }

    /// A command that runs once may take as long as it likes, unless the manifest says otherwise:
    /// nobody waits for its answer. That holds for components that nothing else wakes.
    pub(super) fn lift_time_of_commands(&mut self, root: &Node, triggers: &[(usize, Trigger)]) {
        let commands = root.get("trigger").and_then(|kinds| kinds.get("command"));
        let node_at = |start| {
            commands.iter().flat_map(|list| list.items()).find(|node| node.span.start == start)
        };
        let others = triggers.iter().filter_map(|(_, trigger)| match &trigger.kind {
            TriggerKind::Command(_) => None,
            kind => Some(kind.components()),
        });
        let others: Vec<&ComponentId> = others.flatten().collect();
        for (start, trigger) in triggers {
            let TriggerKind::Command(CommandTrigger { component: id, .. }) = &trigger.kind else {
                continue;
            };
            if others.contains(&id) {
                continue;
            }
            let inline = node_at(*start).and_then(|node| node.get("component"));
            let inline = inline.filter(|node| matches!(node.value, Value::Table(_)));
            let named = self.component_nodes.iter().find(|entry| entry.key == id.0);
            let stated = inline.or(named.map(|entry| &entry.node));
            let limits = stated.and_then(|component| component.get("limits"));
            let states = |key| limits.is_some_and(|limits| limits.get(key).is_some());
            let Some(component) = self.components.get_mut(id) else { continue };
            if !states("cpu") {
                component.limits.cpu = Duration::MAX;
            }
            if !states("time") {
                component.limits.time = Duration::MAX;
            }
        }
    }
}
