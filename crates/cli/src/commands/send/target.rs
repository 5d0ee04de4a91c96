//! What an event is sent to: a trigger that is named by its id, or by the component that it alone wakes.
//! Triggers of events come before routes.

use anyhow::{Result, anyhow, bail};
use dayfly_capabilities::queue::Announced;

use crate::report;
use crate::serving::{Kind, Noted, Serving};

/// What an event is sent to.
pub(super) enum Target {
    /// A trigger of events, by its id.
    Events(String),
    /// A route.
    Route(Route),
}

/// A route of an app that runs.
pub(super) struct Route {
    url: Option<String>,
    route: String,
    path: Option<String>,
}

/// The trigger of that name.
pub(super) fn find(name: &str, events: &[Announced], serving: &Serving) -> Result<Target> {
    if let Some(found) = events.iter().find(|trigger| trigger.id == name) {
        return Ok(Target::Events(found.id.clone()));
    }
    if let Some(found) = serving.triggers.iter().find(|trigger| trigger.id == name) {
        return to(found, serving);
    }
    let woken = events.iter().filter(|trigger| trigger.component == name);
    let woken = woken.map(|trigger| &*trigger.id);
    if let Some(id) = only(name, woken.collect())? {
        return Ok(Target::Events(id.to_owned()));
    }
    let woken = serving.triggers.iter();
    let woken = woken.filter(|trigger| trigger.component.as_deref() == Some(name));
    let found = only(name, woken.clone().map(|trigger| &*trigger.id).collect())?;
    if let Some(found) = woken.clone().find(|trigger| Some(&*trigger.id) == found) {
        return to(found, serving);
    }
    let error = anyhow!("no trigger has the id `{name}`, and none wakes such a component");
    let mut all: Vec<_> = events
        .iter()
        .map(|it| format!("`{}` ({}) wakes `{}`", it.id, it.source, it.component))
        .collect();
    all.extend(serving.triggers.iter().map(described));
    Err(report::hint(error, Some(format!("the app has {}", all.join(", ")))))
}

/// The one of several ids, if there is one.
fn only<'a>(component: &str, ids: Vec<&'a str>) -> Result<Option<&'a str>> {
    if ids.len() > 1 {
        let ids: Vec<_> = ids.iter().map(|id| format!("`{id}`")).collect();
        bail!("component `{component}` is woken by several triggers: {}", ids.join(", "));
    }
    Ok(ids.first().copied())
}

fn to(noted: &Noted, serving: &Serving) -> Result<Target> {
    let id = &noted.id;
    match &noted.kind {
        Kind::Route { route, path } => {
            let (url, route, path) = (serving.url.clone(), route.clone(), path.clone());
            Ok(Target::Route(Route { url, route, path }))
        }
        Kind::Websocket { route } => {
            let error = anyhow!("trigger `{id}` takes WebSockets, whose messages are its events");
            let url = serving.url.as_deref().unwrap_or_default().replacen("http", "ws", 1);
            Err(report::hint(error, Some(format!("connect a client to `{url}{route}`"))))
        }
        Kind::Command => {
            let error = anyhow!(
                "trigger `{id}` is a command, which runs once when the app starts and takes no events"
            );
            let hint =
                "`dayfly up -- ARGS` gives it arguments, `dayfly run FILE` runs it by itself";
            Err(report::hint(error, Some(hint)))
        }
    }
}

fn described(noted: &Noted) -> String {
    let what = match &noted.kind {
        Kind::Route { route, .. } => format!("route {route}"),
        Kind::Websocket { route } => format!("WebSockets {route}"),
        Kind::Command => "command".to_owned(),
    };
    match &noted.component {
        Some(component) => format!("`{}` ({what}) wakes `{component}`", noted.id),
        None => format!("`{}` ({what})", noted.id),
    }
}

impl Route {
    /// Where the route is reached: by this path, or by the one that it alone covers.
    pub(super) fn url(&self, path: Option<&str>) -> Result<String> {
        let Some(url) = &self.url else {
            bail!(
                "the app listens only on sockets that have no URL: `curl --unix-socket` reaches them"
            );
        };
        let Some(path) = path.or(self.path.as_deref()) else {
            let error = anyhow!("the route `{}` covers many paths", self.route);
            return Err(report::hint(error, Some("`--path` says which one")));
        };
        Ok(format!("{url}/{}", path.trim_start_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(url: Option<&str>, own: Option<&str>, path: Option<&str>) -> Result<String> {
        let (url, path_of) = (url.map(str::to_owned), own.map(str::to_owned));
        Route { url, route: "/a/:b".to_owned(), path: path_of }.url(path)
    }

    #[test]
    fn a_route_is_reached_by_its_path_or_the_one_that_is_stated() {
        let host = Some("http://h:1");
        assert_eq!(url(host, Some("/a"), None).unwrap(), "http://h:1/a");
        assert_eq!(url(host, Some("/"), None).unwrap(), "http://h:1/");
        assert_eq!(url(host, Some("/"), Some("b?c=d")).unwrap(), "http://h:1/b?c=d");
        assert!(url(host, None, None).is_err() && url(None, Some("/"), None).is_err());
        assert_eq!(url(host, None, Some("/x")).unwrap(), "http://h:1/x");
    }
}
