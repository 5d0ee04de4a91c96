//! The endpoints, one file a thing. A path of a tenant's begins with the tenant, and each handler with
//! who may use it.

mod activation;
mod apps;
mod audit;
mod blobs;
mod domains;
mod logs;
mod platform;
mod previews;
mod releases;
mod settings;
mod tenants;
mod tokens;
mod usage;

use axum::Router;
use axum::response::IntoResponse;
use dayfly_api::Problem;
use utoipa::Modify;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::failure::Failure;
use crate::shared::Shared;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Dayfly's admin API",
        description = "What a Dayfly platform is administered by. Errors are problem details (RFC 9457)."
    ),
    components(schemas(Problem)),
    security(("token" = [])),
    modifiers(&Token)
)]
struct Description;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// The description of the API, in OpenAPI's terms, as JSON.
#[must_use]
pub fn openapi() -> String {
    let (_, document) = endpoints().split_for_parts();
    document.to_pretty_json().unwrap_or_default() + "\n"
}

pub(crate) fn router() -> Router<Shared> {
    let (router, _) = endpoints().split_for_parts();
    let nothing = || async { Failure::not_found().into_response() };
    router.fallback(nothing).method_not_allowed_fallback(nothing)
}

fn endpoints() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(platform::describe))
        .routes(routes!(platform::health))
        .routes(routes!(platform::ready))
        .routes(routes!(platform::whoami))
        .routes(routes!(tenants::list, tenants::make))
        .routes(routes!(tenants::show, tenants::change, tenants::remove))
        .routes(routes!(tokens::list_operators, tokens::make_operators))
        .routes(routes!(tokens::remove_operators))
        .routes(routes!(tokens::list, tokens::make))
        .routes(routes!(tokens::remove))
        .routes(routes!(blobs::missing))
        .routes(routes!(blobs::send))
        .routes(routes!(apps::list))
        .routes(routes!(apps::show, apps::make, apps::remove))
        .routes(routes!(releases::list, releases::make))
        .routes(routes!(releases::show))
        .routes(routes!(releases::difference))
        .routes(routes!(activation::show, activation::activate))
        .routes(routes!(activation::roll_back))
        .routes(routes!(settings::list, settings::change))
        .routes(routes!(domains::list))
        .routes(routes!(domains::add, domains::remove))
        .routes(routes!(logs::show))
        .routes(routes!(usage::of_tenant))
        .routes(routes!(usage::of_app))
        .routes(routes!(domains::upload_certificate, domains::remove_certificate))
        .routes(routes!(previews::list))
        .routes(routes!(previews::show, previews::make, previews::remove))
        .routes(routes!(audit::list))
        .routes(routes!(audit::list_all))
}
