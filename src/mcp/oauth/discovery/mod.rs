//! Finds the authorization server of an MCP server. [`discover`] tries one place after another (MCP
//! authorization, RFC 9728, RFC 8414, OpenID Connect Discovery) until a document fits. Missing, broken and
//! foreign documents are skipped; if none fits, the error reports what was wrong with them.

mod document;
mod places;
mod troubles;

use std::time::Duration;

use rmcp::transport::auth::AuthorizationMetadata;
use tokio::time::timeout;
use url::Url;

use self::{document::ResourceMetadata, troubles::DiscoveryProblems};
use super::{
    challenge,
    error::OAuthError,
    traffic::{DiscoveryResponse, OAuthFlowClient},
};
use crate::config::{OAuthSettings, ResourceName};

/// The timeout of the whole search.
const TIME_MAX: Duration = Duration::from_secs(40);
/// The maximum number of places that are tried.
const PLACES_MAX: usize = 40;

/// The result of discovery.
#[derive(Debug)]
pub struct DiscoveryResult {
    /// The authorization server's metadata.
    pub metadata: AuthorizationMetadata,
    /// The MCP server's own resource identifier (RFC 8707).
    pub resource: String,
    /// The scopes that the server asks for.
    pub scopes: Vec<String>,
}

/// Finds the authorization server of a server. `is_login`: a user will log in there, with PKCE.
pub async fn discover(
    server: &Url,
    settings: &OAuthSettings,
    traffic: &OAuthFlowClient,
    is_login: bool,
) -> Result<DiscoveryResult, OAuthError> {
    let mut search = MetadataSearch {
        server,
        settings,
        traffic,
        is_login,
        troubles: DiscoveryProblems::default(),
        places_left: PLACES_MAX,
        found: None,
        scopes: Vec::new(),
    };
    let found = timeout(TIME_MAX, search.run()).await;
    let Ok(found) = found else {
        let words = format!("discovery took longer than {} s", TIME_MAX.as_secs());
        return Err(OAuthError::Unavailable(words));
    };
    let metadata = found?;
    let resource = search.found.unwrap_or_default();
    let scopes = if search.scopes.is_empty() {
        resource.scopes
    } else {
        search.scopes
    };
    Ok(DiscoveryResult {
        metadata,
        resource: resource.name.unwrap_or_else(|| server.to_string()),
        scopes,
    })
}

/// A search.
struct MetadataSearch<'a> {
    /// The MCP server.
    server: &'a Url,
    /// The operator's settings.
    settings: &'a OAuthSettings,
    /// Sends the requests for documents.
    traffic: &'a OAuthFlowClient,
    /// Whether a user will log in there.
    is_login: bool,
    /// What was wrong with the places.
    troubles: DiscoveryProblems,
    /// How many places may still be tried.
    places_left: usize,
    /// The server's protected resource metadata.
    found: Option<ResourceMetadata>,
    /// The scopes in the server's challenge.
    scopes: Vec<String>,
}

/// A place, and whether the server itself named it.
type Place = (Url, bool);

impl MetadataSearch<'_> {
    /// Runs the search.
    async fn run(&mut self) -> Result<AuthorizationMetadata, OAuthError> {
        let places = self.places_of_resource().await;
        let settings = self.settings;
        if let Some(place) = &settings.metadata_url {
            self.describe(&places).await;
            self.troubles.clear();
            return self.named_document(place).await;
        }
        if let Some(issuer) = &settings.issuer {
            self.describe(&places).await;
            self.troubles.clear();
            let found = self.of_issuer(issuer, Some(issuer.as_str())).await;
            return found.ok_or_else(|| self.troubles.error());
        }
        let mut names_servers = false;
        for (place, is_named) in &places {
            let Some(resource) = self.resource_at(place, *is_named).await else {
                continue;
            };
            let servers = resource.servers.clone();
            names_servers |= !servers.is_empty();
            self.found.get_or_insert(resource.clone());
            for name in &servers {
                if let Some(metadata) = self.of_name(place, name).await {
                    self.found = Some(resource);
                    return Ok(metadata);
                }
            }
        }
        // The bridge does not send a user to a place that the server never named.
        if names_servers || self.troubles.is_misled() {
            return Err(self.troubles.error());
        }
        let server = self.server;
        if let Some(metadata) = self.of_issuer(server, None).await {
            return Ok(metadata);
        }
        if self.troubles.is_empty() {
            self.usual_endpoints()
        } else {
            Err(self.troubles.error())
        }
    }

    /// Returns the places of the server's own metadata: those in its challenge first, then the standard
    /// places.
    async fn places_of_resource(&mut self) -> Vec<Place> {
        let challenges = self.traffic.challenges(self.server).await;
        let scope = challenge::scope(&challenges).unwrap_or_default();
        self.scopes = scope.split_whitespace().map(str::to_owned).collect();
        let mut places: Vec<Place> = Vec::new();
        let named = challenge::pointers(&challenges).into_iter();
        let named = named.filter_map(|it| self.server.join(it).ok());
        let usual = places::of_resource(self.server).into_iter();
        let all = named
            .map(|it| (it, true))
            .chain(usual.map(|it| (it, false)));
        for (place, is_named) in all {
            if !places.iter().any(|(known, _)| *known == place) {
                places.push((place, is_named));
            }
        }
        places
    }

    /// Reads the server's own metadata, if it has any.
    async fn describe(&mut self, places: &[Place]) {
        for (place, is_named) in places {
            if let Some(resource) = self.resource_at(place, *is_named).await {
                self.found = Some(resource);
                return;
            }
        }
    }

    /// Reads the server's metadata at a place, or at the place that its challenge points to.
    async fn resource_at(&mut self, place: &Url, is_named: bool) -> Option<ResourceMetadata> {
        match self.ask(place).await? {
            DiscoveryResponse::Document(body) => self.fitting(place, &body, is_named),
            DiscoveryResponse::Challenged(challenges) => {
                let pointers = challenge::pointers(&challenges);
                let next = self.server.join(pointers.first()?).ok()?;
                match self.ask(&next).await? {
                    DiscoveryResponse::Document(body) => self.fitting(&next, &body, false),
                    got => self.miss(&next, got),
                }
            }
            got => self.miss(place, got),
        }
    }

    /// Parses a document, if it is the metadata of this server.
    fn fitting(&mut self, place: &Url, body: &[u8], is_named: bool) -> Option<ResourceMetadata> {
        let Some(resource) = document::resource(body) else {
            self.troubles
                .passed_over(place, "is not protected resource metadata");
            return None;
        };
        let name = resource.name.as_deref().unwrap_or_default();
        let is_operators = matches!(&self.settings.resource, ResourceName::Named(it) if it == name);
        if is_operators || places::covers(name, self.server) {
            return Some(resource);
        }
        let what = if name.is_empty() {
            "names no `resource`".to_owned()
        } else {
            format!(
                "is for the resource `{name}`, not `{}`; if that is right, set `resource = \"{name}\"` in its `oauth` table",
                self.server
            )
        };
        if is_named {
            self.troubles.misled(place, &what);
        } else {
            self.troubles.passed_over(place, &what);
        }
        None
    }

    /// Tries an authorization server that the server named.
    async fn of_name(&mut self, from: &Url, name: &str) -> Option<AuthorizationMetadata> {
        let Ok(url) = from.join(name) else {
            self.troubles
                .wrong(from, &format!("names `{name}`, which is not a valid URL"));
            return None;
        };
        if !url.path().contains("/.well-known/") {
            return self.of_issuer(&url, Some(url.as_str())).await;
        }
        match self.ask(&url).await? {
            DiscoveryResponse::Document(body) => self.usable(&url, &body, None),
            got => self.miss(&url, got),
        }
    }

    /// Finds the metadata of an issuer at any of its places. `expected` is its name if a document stated it;
    /// without a name, a document counts only at one of its own places.
    async fn of_issuer(
        &mut self,
        issuer: &Url,
        expected: Option<&str>,
    ) -> Option<AuthorizationMetadata> {
        if let Err(reason) = self.traffic.check_place(issuer) {
            self.troubles.wrong(issuer, &reason);
            return None;
        }
        for place in places::of_issuer(issuer) {
            match self.ask(&place).await? {
                DiscoveryResponse::Document(body) => {
                    if let Some(metadata) = self.usable(&place, &body, expected) {
                        return Some(metadata);
                    }
                }
                // The other places are on the same host.
                DiscoveryResponse::Dead(reason) => {
                    self.troubles.passing(&place, &reason);
                    return None;
                }
                got => {
                    let _missed: Option<()> = self.miss(&place, got);
                }
            }
        }
        None
    }

    /// Reads the document that the operator configured.
    async fn named_document(&mut self, place: &Url) -> Result<AuthorizationMetadata, OAuthError> {
        let got = self.ask(place).await;
        if let Some(DiscoveryResponse::Document(body)) = got {
            let Some(metadata) = document::server(&body, place) else {
                self.troubles
                    .wrong(place, "is not authorization server metadata");
                return Err(self.troubles.error());
            };
            let received = metadata.issuer.as_deref().unwrap_or_default();
            let expected = self.settings.issuer.as_deref().map(Url::as_str);
            if expected.is_some_and(|expected| !places::is_same(expected, received)) {
                let what = format!(
                    "names the issuer `{received}`, which differs from the `issuer` setting"
                );
                self.troubles.wrong(place, &what);
            } else if let Err(reason) = self.check(&metadata) {
                self.troubles.wrong(place, &reason);
            } else {
                return Ok(metadata);
            }
        } else if let Some(got) = got {
            if matches!(
                got,
                DiscoveryResponse::Nothing | DiscoveryResponse::Challenged(_)
            ) {
                self.troubles.wrong(place, "has no document");
            }
            let _missed: Option<()> = self.miss(place, got);
        }
        Err(self.troubles.error())
    }

    /// Returns the metadata in a document if it is valid, belongs to this issuer and is usable.
    fn usable(
        &mut self,
        place: &Url,
        body: &[u8],
        expected: Option<&str>,
    ) -> Option<AuthorizationMetadata> {
        let metadata = document::server(body, place)?;
        let received = metadata.issuer.as_deref().unwrap_or_default();
        let fits = match expected {
            Some(expected) => places::is_same(expected, received),
            None => places::is_own(place, received),
        };
        if !fits {
            let what = if received.is_empty() {
                "names no issuer".to_owned()
            } else {
                let expected = expected.map(|it| format!(", not `{it}`"));
                format!(
                    "names the issuer `{received}`{}",
                    expected.unwrap_or_default()
                )
            };
            self.troubles.foreign(place, &what);
            return None;
        }
        match self.check(&metadata) {
            Ok(()) => Some(metadata),
            Err(reason) => {
                self.troubles.wrong(place, &reason);
                None
            }
        }
    }

    /// Checks whether credentials may be sent to the endpoints of a document, and whether a user can log in
    /// with PKCE.
    fn check(&self, metadata: &AuthorizationMetadata) -> Result<(), String> {
        let named = [
            Some(&metadata.authorization_endpoint),
            Some(&metadata.token_endpoint),
            metadata.registration_endpoint.as_ref(),
        ];
        for endpoint in named.into_iter().flatten() {
            let url: Url = endpoint
                .parse()
                .map_err(|error| format!("has an endpoint that is not a valid URL: {error}"))?;
            self.traffic.check(&url)?;
        }
        let lacks = |list: &Option<Vec<String>>, word: &str| {
            list.as_ref()
                .is_some_and(|it| !it.iter().any(|it| it == word))
        };
        if self.is_login && lacks(&metadata.code_challenge_methods_supported, "S256") {
            return Err("does not offer PKCE with S256".to_owned());
        }
        if self.is_login && lacks(&metadata.response_types_supported, "code") {
            return Err("does not offer the response type `code`".to_owned());
        }
        Ok(())
    }

    /// Requests a place, while the budget lasts.
    async fn ask(&mut self, place: &Url) -> Option<DiscoveryResponse> {
        self.places_left = self.places_left.checked_sub(1)?;
        Some(self.traffic.document(place).await)
    }

    /// Records what was wrong with a place without a document.
    fn miss<T>(&mut self, place: &Url, got: DiscoveryResponse) -> Option<T> {
        match got {
            DiscoveryResponse::Failing(reason) | DiscoveryResponse::Dead(reason) => {
                self.troubles.passing(place, &reason);
            }
            DiscoveryResponse::Trouble(reason) => self.troubles.wrong(place, &reason),
            DiscoveryResponse::Document(_)
            | DiscoveryResponse::Nothing
            | DiscoveryResponse::Challenged(_) => {}
        }
        None
    }

    /// The default endpoints for servers that publish no metadata (MCP 2025-03-26).
    fn usual_endpoints(&self) -> Result<AuthorizationMetadata, OAuthError> {
        let endpoint = |path: &str| {
            let mut url = self.server.clone();
            url.set_query(None);
            url.set_fragment(None);
            url.set_path(path);
            url.to_string()
        };
        let mut metadata = AuthorizationMetadata::default();
        metadata.authorization_endpoint = endpoint("/authorize");
        metadata.token_endpoint = endpoint("/token");
        metadata.registration_endpoint = Some(endpoint("/register"));
        self.check(&metadata).map_err(OAuthError::Discovery)?;
        Ok(metadata)
    }
}
