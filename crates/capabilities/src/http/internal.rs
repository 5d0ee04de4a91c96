//! Requests to the app itself and to its components. No connection carries them: the host calls the
//! component. Who may call whom is decided here; what a call is, by the host.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use dayfly_model::outbound::{OutboundHosts, is_self, service_of};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::refusals::{Refusal, shortened};
use crate::{Behind, Grants};

/// Whom a call is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// Whatever answers on the app's route.
    App,
    /// A component, by its id in lower case.
    Component(String),
}

/// A request of one component to another, or to itself.
pub struct Call {
    /// Whom it is for.
    pub callee: Callee,
    /// The request, with the URI that the guest wrote.
    pub request: http::Request<WasiBody>,
    /// What leads to the callee: a depth of 1 for a call by the component that answers a request from
    /// outside.
    pub behind: Behind,
}

/// A call under way; dropping it ends the callee.
pub type Calling = Pin<Box<dyn Future<Output = Result<http::Response<WasiBody>, Error>> + Send>>;

/// Who calls components.
pub trait Services: Send + Sync {
    /// Calls a component; `None` if the app has none of that name that takes requests.
    fn call(&self, call: Call) -> Option<Calling>;
}

/// The way from an app's components to one another, connected once the app is activated.
#[derive(Default)]
pub struct Internal(OnceLock<Arc<dyn Services>>);

impl Internal {
    /// Lets `services` have all calls from now on. Only the first ever is heard.
    pub fn connect(&self, services: Arc<dyn Services>) {
        let _ = self.0.set(services);
    }
}

impl fmt::Debug for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Internal").field(&self.0.get().is_some()).finish()
    }
}

impl Callee {
    /// Whom a host means; `None` for hosts outside of the app.
    pub(super) fn of(host: &str) -> Option<Self> {
        if is_self(host) {
            return Some(Self::App);
        }
        service_of(host).map(Self::Component)
    }

    fn is_granted(&self, hosts: &OutboundHosts, scheme: &str, host: &str, port: u16) -> bool {
        match self {
            Self::App => hosts.check_self("http") || hosts.check_self("https"),
            Self::Component(_) => hosts.check(scheme, host, port).is_some(),
        }
    }
}

/// Calls a component of the app, if that is granted and not too deep. `behind` is what led to the caller.
pub(super) fn call(
    grants: &Grants,
    callee: Callee,
    request: http::Request<WasiBody>,
    (scheme, host, port): (&str, &str, u16),
    behind: Behind,
) -> Result<Calling, Error> {
    let component = &grants.component;
    if !callee.is_granted(grants.names.hosts(), scheme, host, port) {
        grants.refuse_destination(scheme, host, port);
        return Err(Error::HttpRequestDenied);
    }
    let limit = grants.limits.depth;
    if behind.depth >= limit {
        grants.refusals.note(Refusal::Depth, |unsaid| {
            tracing::warn!(
                %component, host = shortened(host), limit, unsaid, "refused: `limits.depth`"
            );
        });
        return Err(Error::LoopDetected);
    }
    let behind = Behind { depth: behind.depth + 1, ..behind };
    let call = Call { callee, request, behind };
    let called = grants.http.internal.0.get().and_then(|services| services.call(call));
    called.ok_or_else(|| {
        grants.refusals.note(Refusal::Component, |unsaid| {
            tracing::warn!(
                %component, host = shortened(host), unsaid,
                "the app has no component of that name with an HTTP trigger"
            );
        });
        Error::DestinationNotFound
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_the_app_are_told_from_others() {
        let cart = Some(Callee::Component("cart".to_owned()));
        assert_eq!(Callee::of("cart.spin.internal"), cart);
        assert_eq!(Callee::of("CART.spin.internal."), cart);
        assert_eq!(Callee::of("self"), Some(Callee::App));
        for host in ["spin.internal", "a.b.spin.internal", "cart.spin.internal.example", "self.x"] {
            assert_eq!(Callee::of(host), None, "{host}");
        }
    }

    #[test]
    fn a_grant_names_who_may_be_called() {
        let may = |entry: &str, host: &str| {
            let hosts = OutboundHosts::parse([entry]).unwrap();
            Callee::of(host).unwrap().is_granted(&hosts, "http", host, 80)
        };
        assert!(may("http://cart.spin.internal", "cart.spin.internal"));
        assert!(!may("http://cart.spin.internal", "stock.spin.internal"));
        assert!(!may("https://cart.spin.internal", "cart.spin.internal"));
        assert!(may("http://*.spin.internal", "stock.spin.internal"));
        assert!(!may("http://*.spin.internal", "self"));
        assert!(may("http://self", "self.alt") && !may("http://self", "cart.spin.internal"));
    }
}
