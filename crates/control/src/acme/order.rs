//! One order: the host is vouched for by answering over HTTP, and what is issued is checked and kept.

use std::time::{Duration, SystemTime};

use dayfly_model::platform::DomainName;
use dayfly_model::runtime_config::Secret;
use dayfly_store::{CertificateSource, CertificateView, Challenge, NewCertificate};
use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use tokio::time::{sleep, timeout};

use super::Host;
use crate::certificate::{self, Validity};
use crate::failure::Failure;
use crate::shared::Shared;

/// How long the node may take to answer a challenge, and how often is looked whether it does.
const NODE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(50);

/// How long the server may take to look at a host, and to issue.
const SERVER: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(60)).backoff(1.5);

/// The longest reason that is shown, in characters.
const SHOWN: usize = 300;

/// A certificate could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The server said so, or nothing.
    #[error(transparent)]
    Server(#[from] instant_acme::Error),
    /// The host is not vouched for.
    #[error("{0}")]
    Refused(String),
    /// The node did not take the challenge up.
    #[error("the platform's node does not answer")]
    Node,
    /// It took too long.
    #[error("the certificate authority took too long")]
    Late,
    /// What was issued cannot be served.
    #[error("what was issued cannot be served: {0}")]
    Issued(String),
    /// The platform failed.
    #[error("the platform failed")]
    Platform,
}

impl OrderError {
    /// The reason for whoever looks after the host.
    pub(super) fn shown(&self) -> String {
        let text = self.to_string();
        text.chars().filter(|it| !it.is_control()).take(SHOWN).collect()
    }
}

impl From<Failure> for OrderError {
    fn from(failure: Failure) -> Self {
        tracing::warn!(problem = %failure.problem, "an order failed by the platform");
        Self::Platform
    }
}

/// Orders a certificate for a host, and keeps it.
pub(super) async fn order(
    shared: &Shared,
    account: &Account,
    host: &Host,
) -> Result<(), OrderError> {
    let names = [Identifier::Dns(host.name.to_string())];
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let mut tokens = Vec::new();
    let vouched = vouch(shared, &mut order, &host.name, &mut tokens).await;
    for token in tokens {
        shared.ask(move |store| store.remove_challenge(&token)).await?;
    }
    vouched?;
    let key = Secret(order.finalize().await?);
    let chain = order.poll_certificate(&SERVER).await?;
    keep(shared, host, chain, key).await
}

/// Has the node answer what the server asks, until that is content.
async fn vouch(
    shared: &Shared,
    order: &mut Order,
    host: &DomainName,
    tokens: &mut Vec<String>,
) -> Result<(), OrderError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => return Err(refusal(&mut authorization).await),
        }
        let none = || OrderError::Refused("the authority has no challenge by HTTP".to_owned());
        let mut challenge = authorization.challenge(ChallengeType::Http01).ok_or_else(none)?;
        let token = challenge.token.clone();
        let answer = challenge.key_authorization().as_str().to_owned();
        tokens.push(token.clone());
        answered(shared, Challenge { host: host.to_string(), token, answer }).await?;
        challenge.set_ready().await?;
    }
    if order.poll_ready(&SERVER).await? == OrderStatus::Ready {
        return Ok(());
    }
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.refresh().await?.status != AuthorizationStatus::Valid {
            return Err(refusal(&mut authorization).await);
        }
    }
    Err(OrderError::Refused("the authority refuses the order".to_owned()))
}

/// Puts a challenge where the node finds it, and waits until it does.
async fn answered(shared: &Shared, challenge: Challenge) -> Result<(), OrderError> {
    let token = challenge.token.clone();
    shared.ask(move |store| store.add_challenge(&challenge)).await?;
    let is_answered = async {
        loop {
            let token = token.clone();
            if shared.ask(move |store| store.is_answered(&token)).await? {
                return Ok::<_, OrderError>(());
            }
            sleep(LOOK).await;
        }
    };
    timeout(NODE, is_answered).await.map_err(|_| OrderError::Node)?
}

/// Why a host is not vouched for, as the server says.
async fn refusal(authorization: &mut AuthorizationHandle<'_>) -> OrderError {
    let found = match authorization.refresh().await {
        Ok(state) => state.challenges.iter().find_map(|it| it.error.as_ref()?.detail.clone()),
        Err(error) => Some(error.to_string()),
    };
    let usual = || "the certificate authority does not find this platform at the host".to_owned();
    OrderError::Refused(found.unwrap_or_else(usual))
}

async fn keep(shared: &Shared, host: &Host, chain: String, key: Secret) -> Result<(), OrderError> {
    let checked = certificate::check(&chain, &key.0, &host.name, SystemTime::now());
    let Validity { begins_ms, expires_ms } = checked.map_err(OrderError::Issued)?;
    let view = CertificateView { source: CertificateSource::Acme, begins_ms, expires_ms };
    let new = NewCertificate { chain, key, view };
    let Host { app, name, is_own } = host.clone();
    shared.ask(move |store| store.keep_ordered(&app, &name, is_own, &new)).await?;
    Ok(())
}
