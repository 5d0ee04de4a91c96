//! What a platform can be asked for, each by a function.

use bytes::Bytes;
use dayfly_model::platform::{
    AppId, AppName, BlobDigest, DomainName, PreviewName, ReleaseId, TenantId,
};
use http::Method;

use super::{Call, Client, ClientError, LONG, Upload};
use crate::{
    Activate, Activation, App, AuditEntry, BlobList, ChangeSettings, ChangeTenant, Difference,
    Domain, MANIFEST, MadeToken, NewCertificate, NewPreview, NewTenant, NewToken, Preview, Release,
    Rollback, Setting, Tenant, Token, Whoami,
};

/// How many digests one request asks about.
const DIGESTS: usize = 1000;

impl Client {
    /// Whose token this is, and what it allows.
    ///
    /// # Errors
    /// As every function here: if nobody answers, or the platform refuses.
    pub fn whoami(&self) -> Result<Whoami, ClientError> {
        self.get("v1/whoami")
    }

    /// The tenants that the token may see.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn tenants(&self) -> Result<Vec<Tenant>, ClientError> {
        self.list("v1/tenants", usize::MAX)
    }

    /// A tenant.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn tenant(&self, tenant: &TenantId) -> Result<Tenant, ClientError> {
        self.get(format!("v1/tenants/{tenant}"))
    }

    /// Makes a tenant.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn make_tenant(&self, tenant: &NewTenant) -> Result<Tenant, ClientError> {
        self.change(Method::POST, "v1/tenants", tenant)
    }

    /// Changes a tenant's terms; with a version, only if that is still the tenant's.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn change_tenant(
        &self,
        tenant: &TenantId,
        change: &ChangeTenant,
        version: Option<&str>,
    ) -> Result<Tenant, ClientError> {
        let call = Call::new(Method::PATCH, format!("v1/tenants/{tenant}")).with(change)?;
        self.json(&Call { seen: version.map(str::to_owned), ..call })
    }

    /// Removes a tenant that has no apps.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn remove_tenant(&self, tenant: &TenantId) -> Result<(), ClientError> {
        self.remove(format!("v1/tenants/{tenant}"))
    }

    /// A tenant's tokens; without one, the operator's.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn tokens(&self, tenant: Option<&TenantId>) -> Result<Vec<Token>, ClientError> {
        self.list(&tokens(tenant), usize::MAX)
    }

    /// Makes a token of a tenant's; without one, of the operator's.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn make_token(
        &self,
        tenant: Option<&TenantId>,
        token: &NewToken,
    ) -> Result<MadeToken, ClientError> {
        self.change(Method::POST, tokens(tenant), token)
    }

    /// Revokes a token, at once.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn remove_token(&self, tenant: Option<&TenantId>, id: &str) -> Result<(), ClientError> {
        let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        self.remove(format!("{}/{id}", tokens(tenant)))
    }

    /// A tenant's apps.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn apps(&self, tenant: &TenantId) -> Result<Vec<App>, ClientError> {
        self.list(&format!("v1/tenants/{tenant}/apps"), usize::MAX)
    }

    /// An app.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn app(&self, app: &AppId) -> Result<App, ClientError> {
        self.get(of(app))
    }

    /// Makes an app, unless it is there.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn make_app(&self, app: &AppId) -> Result<App, ClientError> {
        self.json(&Call::new(Method::PUT, of(app)))
    }

    /// Removes an app with all that is its own: releases, settings, domains, and what it keeps.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn remove_app(&self, app: &AppId) -> Result<(), ClientError> {
        self.remove(of(app))
    }

    /// Which of these blobs the tenant has yet to send.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn missing(
        &self,
        tenant: &TenantId,
        digests: &[BlobDigest],
    ) -> Result<Vec<BlobDigest>, ClientError> {
        let mut missing = Vec::new();
        for digests in digests.chunks(DIGESTS) {
            let asked = BlobList { digests: digests.to_vec() };
            let path = format!("v1/tenants/{tenant}/blobs/missing");
            missing.extend(self.change::<BlobList>(Method::POST, path, &asked)?.digests);
        }
        Ok(missing)
    }

    /// Sends a blob. `sent` is told several times a second how many of its bytes are on their way.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn send_blob(
        &self,
        tenant: &TenantId,
        digest: &BlobDigest,
        blob: Upload<'_>,
        mut sent: impl FnMut(u64),
    ) -> Result<(), ClientError> {
        let mut call = Call::new(Method::PUT, format!("v1/tenants/{tenant}/blobs/{digest}"));
        (call.body, call.content_type) = (blob, "application/octet-stream");
        self.ask(&call, &mut sent).map(drop)
    }

    /// Makes a release of a package's manifest, whose blobs were sent; the platform checks and
    /// compiles it before it answers, which may take minutes. A release that is there is not made
    /// again.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn make_release(&self, app: &AppId, manifest: Bytes) -> Result<Release, ClientError> {
        let mut call = Call::new(Method::POST, format!("{}/releases", of(app)));
        (call.body, call.content_type) = (Upload::Bytes(manifest), MANIFEST);
        call.patience = LONG;
        self.json(&call)
    }

    /// An app's releases, the latest first, at most so many.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn releases(&self, app: &AppId, most: usize) -> Result<Vec<Release>, ClientError> {
        self.list(&format!("{}/releases", of(app)), most)
    }

    /// A release.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn release(&self, app: &AppId, release: &ReleaseId) -> Result<Release, ClientError> {
        self.get(format!("{}/releases/{release}", of(app)))
    }

    /// What a release asks for beyond what is active.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn difference(&self, app: &AppId, release: &ReleaseId) -> Result<Difference, ClientError> {
        self.get(format!("{}/releases/{release}/difference", of(app)))
    }

    /// What is active of an app.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn activation(&self, app: &AppId) -> Result<Activation, ClientError> {
        self.get(format!("{}/activation", of(app)))
    }

    /// Activates a release; with a generation, only if that is still the app's.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn activate(
        &self,
        app: &AppId,
        activate: &Activate,
        generation: Option<u64>,
    ) -> Result<Activation, ClientError> {
        let call = Call::new(Method::PUT, format!("{}/activation", of(app))).with(activate)?;
        self.json(&Call { seen: generation.map(|it| it.to_string()), ..call })
    }

    /// Activates the release that was active before, or the one that is named; with a generation, only
    /// if that is still the app's.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn roll_back(
        &self,
        app: &AppId,
        rollback: &Rollback,
        generation: Option<u64>,
    ) -> Result<Activation, ClientError> {
        let call = Call::new(Method::POST, format!("{}/rollback", of(app))).with(rollback)?;
        self.json(&Call { seen: generation.map(|it| it.to_string()), ..call })
    }

    /// What an app is told; secrets without their values.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn settings(&self, app: &AppId) -> Result<Vec<Setting>, ClientError> {
        self.list(&format!("{}/settings", of(app)), usize::MAX)
    }

    /// Changes what an app is told, all of it at once.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn change_settings(
        &self,
        app: &AppId,
        change: &ChangeSettings,
    ) -> Result<Activation, ClientError> {
        self.change(Method::PATCH, format!("{}/settings", of(app)), change)
    }

    /// An app's custom domains.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn domains(&self, app: &AppId) -> Result<Vec<Domain>, ClientError> {
        self.list(&format!("{}/domains", of(app)), usize::MAX)
    }

    /// Has an app answer on a domain.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn add_domain(&self, app: &AppId, domain: &DomainName) -> Result<Domain, ClientError> {
        self.json(&Call::new(Method::PUT, format!("{}/domains/{domain}", of(app))))
    }

    /// Has an app answer on a domain no more.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn remove_domain(&self, app: &AppId, domain: &DomainName) -> Result<(), ClientError> {
        self.remove(format!("{}/domains/{domain}", of(app)))
    }

    /// Has a domain served with a certificate of its own.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn upload_certificate(
        &self,
        app: &AppId,
        domain: &DomainName,
        certificate: &NewCertificate,
    ) -> Result<Domain, ClientError> {
        let path = format!("{}/domains/{domain}/certificate", of(app));
        self.change(Method::PUT, path, certificate)
    }

    /// Takes the certificate away that was uploaded for a domain.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn remove_certificate(&self, app: &AppId, domain: &DomainName) -> Result<(), ClientError> {
        self.remove(format!("{}/domains/{domain}/certificate", of(app)))
    }

    /// An app's previews.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn previews(&self, app: &AppId) -> Result<Vec<Preview>, ClientError> {
        self.list(&format!("{}/previews", of(app)), usize::MAX)
    }

    /// Shows a release of an app by a preview, which is made unless it is there.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn make_preview(
        &self,
        app: &AppId,
        name: &PreviewName,
        new: &NewPreview,
    ) -> Result<Preview, ClientError> {
        self.change(Method::PUT, format!("{}/previews/{name}", of(app)), new)
    }

    /// Removes a preview, and what it keeps.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn remove_preview(&self, app: &AppId, name: &PreviewName) -> Result<(), ClientError> {
        self.remove(format!("{}/previews/{name}", of(app)))
    }

    /// The latest changes, the newest first, at most so many: a tenant's, or without one everybody's.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn audit(
        &self,
        tenant: Option<&TenantId>,
        most: usize,
    ) -> Result<Vec<AuditEntry>, ClientError> {
        match tenant {
            Some(tenant) => self.list(&format!("v1/tenants/{tenant}/audit"), most),
            None => self.list("v1/audit", most),
        }
    }

    fn remove(&self, path: String) -> Result<(), ClientError> {
        self.ask(&Call::new(Method::DELETE, path), &mut |_| ()).map(drop)
    }
}

fn of(app: &AppId) -> String {
    path(&app.tenant, &app.app)
}

fn path(tenant: &TenantId, app: &AppName) -> String {
    format!("v1/tenants/{tenant}/apps/{app}")
}

fn tokens(tenant: Option<&TenantId>) -> String {
    match tenant {
        Some(tenant) => format!("v1/tenants/{tenant}/tokens"),
        None => "v1/tokens".to_owned(),
    }
}
