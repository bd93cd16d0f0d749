//! [`Proofs`]: the order in which a request's proofs are asked, and what they say together.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use serde::Deserialize;
use tokio_util::task::TaskTracker;

use super::{
    Refusal,
    api_key::{Holder, Keys},
    caller::{Caller, Proof},
    forwarded,
    gateway::{Gateway, Named, Vouched},
    guesses::Guesses,
    headers,
    introspection::Introspection,
    issuer_keys::KeyRing,
    oidc::Oidc,
    session::{Session, Sessions},
    signed::{Signed, SignedUser},
    token,
    users::Users,
};
use crate::{
    config::{Anonymous, Config, DEFAULT_WORKSPACE},
    redis::Redis,
    store::{Directory, Store, StoreError},
};

/// What a request brings to say who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The address it came from.
    pub peer: Option<IpAddr>,
}

/// Where users are looked up; it outlives reloads.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Our own tables: stored API keys.
    pub store: Option<Arc<Store>>,
    /// Open WebUI's tables.
    pub directory: Option<Arc<Directory>>,
    /// Open WebUI's signed-out tokens.
    pub redis: Option<Arc<Redis>>,
    /// For Open WebUI's API and for the keys of issuers.
    pub http: reqwest::Client,
    /// Where keys of issuers are fetched in the background.
    pub tracker: TaskTracker,
    /// The keys of issuers, fetched already.
    pub keys: Arc<KeyRing>,
}

/// What a request is checked against.
#[derive(Debug)]
pub struct Proofs {
    pub(super) keys: Keys,
    pub(super) sessions: Option<Sessions>,
    signed: Option<Signed>,
    gateway: Option<Gateway>,
    issuers: Vec<Oidc>,
    users: Option<Arc<Users>>,
    /// Who a request without credentials is, if anyone.
    fallback: Option<Arc<Caller>>,
    /// Whether it was logged that the database is not Open WebUI's.
    is_told: AtomicBool,
    /// How often credentials may be guessed.
    guesses: Guesses,
}

/// Who issued a token.
#[derive(Debug, Deserialize)]
pub(super) struct Origin {
    pub(super) iss: Option<String>,
}

/// What `Authorization` or the cookie proves.
#[derive(Debug)]
enum Proven {
    /// The holder of one of our keys.
    Key(Holder),
    /// A user.
    User(Session),
}

impl Proofs {
    /// The proofs of a configuration.
    pub fn new(config: &Config, sources: Sources) -> Self {
        let identity = &config.identity;
        let open_webui = &identity.open_webui;
        let anonymous = |proof| Some(Arc::new(Caller::named("anonymous", proof)));
        let users = sources
            .directory
            .map(|directory| Arc::new(Users::new(directory, open_webui.cache_ttl)));
        let api = open_webui
            .url
            .as_ref()
            .and_then(|url| Introspection::new(sources.http.clone(), url, open_webui.cache_ttl));
        let issuers = identity.oidc.iter().map(|issuer| {
            let keys = sources.keys.set(issuer, &sources.http, &sources.tracker);
            Oidc::new(issuer.clone(), keys)
        });
        Self {
            issuers: issuers.collect(),
            keys: Keys::new(&identity.keys, sources.store),
            sessions: Sessions::new(open_webui, users.clone(), api, sources.redis),
            signed: Signed::new(open_webui),
            gateway: identity.gateway.clone().map(Gateway::new),
            users,
            fallback: match identity.anonymous {
                Anonymous::Refused => None,
                Anonymous::Loopback => anonymous(Proof::Loopback),
                Anonymous::Allowed => anonymous(Proof::Anonymous),
            },
            is_told: AtomicBool::new(false),
            guesses: Guesses::new(match &identity.gateway {
                Some(gateway) => gateway.trusted_peers.clone(),
                None => Vec::new(),
            }),
        }
    }

    /// Who sent a request. Wrong credentials are counted, and an address that sent many of them waits
    /// before others of its are looked at.
    pub async fn identify(&self, evidence: &Evidence<'_>) -> Result<Arc<Caller>, Refusal> {
        let Some(shown) = self.guesses.shown(evidence) else {
            return self.identified(evidence).await;
        };
        if self.guesses.is_suspect(&shown) && self.is_guessable(evidence.headers).await {
            // Boxed: it is large, and honest callers do not come here.
            Box::pin(self.guesses.turn(&shown)).await?;
        }
        let outcome = self.identified(evidence).await;
        self.guesses.note(&shown, &outcome);
        outcome
    }

    /// Who sent a request (design §7). A proof that is there and does not hold ends the
    /// identification: nothing weaker is tried after it, and it is refused also where no proof is
    /// needed. Two proofs of different users are refused too.
    async fn identified(&self, evidence: &Evidence<'_>) -> Result<Arc<Caller>, Refusal> {
        let sent = evidence.headers;
        let more = self.gateway.iter().flat_map(Gateway::names);
        headers::check_single(sent, more)?;
        let vouched = match &self.gateway {
            Some(gateway) => gateway.read(evidence)?,
            None => Vouched::Untrusted(false),
        };
        let named = match &vouched {
            Vouched::Trusted(named) => Some(named),
            Vouched::Untrusted(_) => None,
        };
        let is_named = named.is_some_and(|named| named.email.is_some());
        let is_for_gateway = |gateway: &Gateway| is_named && gateway.ignores_credentials();
        let proven = if self.gateway.as_ref().is_some_and(is_for_gateway) {
            None
        } else {
            self.credentials(sent).await?
        };
        let signed = match &self.signed {
            Some(signed) => signed.read(sent)?,
            None => None,
        };
        match (proven, signed) {
            (Some(Proven::Key(holder)), signed) => {
                if !holder.forwards && named.is_none() {
                    return Ok(holder.caller);
                }
                // Boxed, as all that only some requests need: it is large.
                Box::pin(self.holder(holder, signed.as_ref(), named, sent)).await
            }
            (Some(Proven::User(session)), signed) => {
                let strips = self.gateway.as_ref().is_some_and(Gateway::strips_headers);
                let caller = user(session, signed.as_ref(), named, strips, sent)?;
                match caller.proof {
                    Proof::Oidc => {
                        Box::pin(self.complete(Arc::unwrap_or_clone(caller), None)).await
                    }
                    _ => Ok(caller),
                }
            }
            (None, Some(signed)) => Box::pin(self.signed(&signed, named, sent)).await,
            (None, None) => match (named.and_then(Named::caller), &self.fallback) {
                (Some(caller), _) => Box::pin(self.complete(caller, None)).await,
                (None, _) if vouched == Vouched::Untrusted(true) => Err(Refusal::Untrusted),
                (None, Some(fallback)) => anybody(fallback, sent),
                (None, None) => Err(Refusal::Missing),
            },
        }
    }

    /// Who a user of this e-mail is as far as it is known without them: what `explain` asks. They
    /// need not be known to anybody.
    pub async fn absent(&self, email: &str) -> Result<Arc<Caller>, Refusal> {
        let known = match &self.users {
            Some(users) => users.by_email(email).await?,
            None => None,
        };
        Ok(known.map_or_else(
            || Arc::new(Caller::user(None, Some(email), Proof::Session)),
            |user| Arc::clone(&user.caller),
        ))
    }

    /// What `Authorization` proves, else the cookie.
    async fn credentials(&self, sent: &HeaderMap) -> Result<Option<Proven>, Refusal> {
        let Some(authorization) = headers::authorization(sent)? else {
            return Box::pin(self.cookie(sent)).await;
        };
        // Where nothing is checked, the header is for somebody else.
        let takes_tokens = self.sessions.is_some() || !self.issuers.is_empty();
        if !takes_tokens && !self.keys.any().await? {
            return Ok(None);
        }
        if authorization.is_empty() {
            return Err(Refusal::Missing);
        }
        let (scheme, text) = authorization.split_once(' ').ok_or(Refusal::Scheme)?;
        let text = text.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            self.bearer(text).await.map(Some)
        } else if scheme.eq_ignore_ascii_case("basic") {
            let password = basic_password(text)?;
            let holder = self.key(&password).await.map_err(|refusal| match refusal {
                Refusal::Key => Refusal::Password,
                refusal => refusal,
            })?;
            Ok(Some(Proven::Key(holder)))
        } else {
            Err(Refusal::Scheme)
        }
    }

    /// Browsers send Open WebUI's cookie to us where both live on one host.
    async fn cookie(&self, sent: &HeaderMap) -> Result<Option<Proven>, Refusal> {
        let Some(sessions) = &self.sessions else {
            return Ok(None);
        };
        let Some(cookie) = headers::cookie(sent)? else {
            return Ok(None);
        };
        token::check_length(cookie)?;
        if !token::is_token(cookie) {
            return Err(token::flaw("the cookie holds none"));
        }
        let mut session = sessions.session(cookie).await?;
        let mut caller = Arc::unwrap_or_clone(session.caller);
        caller.via_cookie = true;
        session.caller = Arc::new(caller);
        Ok(Some(Proven::User(session)))
    }

    /// A key of ours, a token, or a key of Open WebUI.
    async fn bearer(&self, text: &str) -> Result<Proven, Refusal> {
        if let Some(holder) = self.keys.configured(text) {
            return Ok(Proven::Key(holder.clone()));
        }
        if self.sessions.is_none() && self.issuers.is_empty() {
            return self.key(text).await.map(Proven::Key);
        }
        token::check_length(text)?;
        if token::is_token(text) {
            return self.token(text).await.map(Proven::User);
        }
        match (self.key(text).await, &self.sessions) {
            // Either may know it, and the other may be down.
            (Err(refusal), Some(sessions))
                if text.starts_with("sk-") && refusal != Refusal::KeyExpired =>
            {
                let session = Box::pin(sessions.key(text)).await?;
                session.map(Proven::User).ok_or(refusal)
            }
            (holder, _) => holder.map(Proven::Key),
        }
    }

    /// The user of a token: of the issuer that it names, or of Open WebUI, whose sessions name
    /// none.
    async fn token(&self, text: &str) -> Result<Session, Refusal> {
        if let Some(sessions) = &self.sessions
            && let Some(session) = sessions.verified(text).await
        {
            return session;
        }
        let Origin { iss } = token::unproven(text)?;
        if let Some(iss) = &iss {
            let issuer = self.issuers.iter().find(|issuer| issuer.is_issuer(iss));
            let caller = Box::pin(issuer.ok_or(Refusal::Issuer)?.caller(text)).await?;
            return Ok(Session {
                caller: Arc::new(caller),
                id: None,
            });
        }
        match &self.sessions {
            Some(sessions) => sessions.session(text).await,
            None => Err(Refusal::Issuer),
        }
    }

    /// The holder of a key, configured or stored.
    async fn key(&self, text: &str) -> Result<Holder, Refusal> {
        match self.keys.configured(text) {
            Some(holder) => Ok(holder.clone()),
            None => self.keys.stored(text).await?.ok_or(Refusal::Key),
        }
    }

    /// A key is the caller, unless it vouches for someone.
    async fn holder(
        &self,
        holder: Holder,
        signed: Option<&SignedUser>,
        named: Option<&Named>,
        sent: &HeaderMap,
    ) -> Result<Arc<Caller>, Refusal> {
        let email = named.and_then(|named| named.email.as_deref());
        if !holder.forwards {
            return match email {
                Some(_) => Err(Refusal::Contradiction),
                None => Ok(holder.caller),
            };
        }
        let forwarded = forwarded::read(&holder, signed, self.signed.is_some(), sent)?;
        let workspace = match &self.gateway {
            Some(gateway) => gateway.workspace(sent)?,
            None => headers::name(sent, &headers::WORKSPACE)?.map(Into::into),
        };
        let is_stored = holder.is_stored;
        let own_workspace = Arc::clone(&holder.caller.workspace);
        let (mut caller, id) = match forwarded {
            Some(forwarded) => forwarded,
            None if workspace.is_none() => return Ok(holder.caller),
            None => (Arc::unwrap_or_clone(holder.caller), None),
        };
        if let (Some(email), Some(own)) = (email, caller.email.as_deref())
            && !headers::is_same_email(email, own)
        {
            return Err(Refusal::Contradiction);
        }
        if let Some(workspace) = workspace {
            // Only a key of the operator speaks for all workspaces.
            if is_stored && *own_workspace != *DEFAULT_WORKSPACE && *own_workspace != *workspace {
                return Err(Refusal::Workspace);
            }
            caller.workspace = workspace.into();
        }
        match caller.proof {
            Proof::ApiKey => Ok(Arc::new(caller)),
            _ => self.complete(caller, id.as_deref()).await,
        }
    }

    /// The user whom Open WebUI signed.
    async fn signed(
        &self,
        signed: &SignedUser,
        named: Option<&Named>,
        sent: &HeaderMap,
    ) -> Result<Arc<Caller>, Refusal> {
        headers::check_user(sent, Some(&signed.id), signed.email.as_deref())?;
        let mut caller = signed.caller();
        if let Some(named) = named {
            let other = named.email.as_deref();
            if let (Some(other), Some(email)) = (other, caller.email.as_deref())
                && !headers::is_same_email(other, email)
            {
                return Err(Refusal::Contradiction);
            }
            if self.gateway.as_ref().is_some_and(Gateway::strips_headers) {
                named.add_to(&mut caller);
            }
        }
        let is_vouched = named.is_some_and(|named| named.email.is_some());
        if let Some(own) = self.signed.as_ref().filter(|_| !is_vouched) {
            own.check_alone(signed)?;
        }
        self.complete(caller, Some(&signed.id)).await
    }

    /// Adds what Open WebUI's database knows of a caller whose proof said nothing of groups, or of
    /// no e-mail.
    async fn complete(&self, mut caller: Caller, id: Option<&str>) -> Result<Arc<Caller>, Refusal> {
        let is_complete = caller.groups.is_some() && caller.email.is_some();
        let Some(users) = self.users.as_ref().filter(|_| !is_complete) else {
            return Ok(Arc::new(caller));
        };
        let found = match (id, caller.email.as_deref()) {
            (Some(id), _) => users.by_id(id).await,
            (None, Some(email)) => users.by_email(email).await,
            (None, None) => Ok(None),
        };
        let found = match found {
            // It need not be Open WebUI's database at all.
            Err(Refusal::Store(StoreError::Query(error))) => {
                if !self.is_told.swap(true, Ordering::Relaxed) {
                    tracing::warn!("groups of Open WebUI do not count: {error}");
                }
                None
            }
            found => found?,
        };
        let Some(user) = found else {
            return Ok(Arc::new(caller));
        };
        if matches!(caller.proof, Proof::SignedHeader | Proof::ForwardedHeaders) {
            user.check()?;
            caller.is_admin &= user.caller.is_admin;
        } else if user.check().is_err() {
            return Ok(Arc::new(caller));
        }
        match (&caller.email, &user.caller.email) {
            (Some(one), Some(other)) if one != other => return Err(Refusal::Contradiction),
            (None, Some(email)) => {
                caller.id = Arc::clone(email);
                caller.email = Some(Arc::clone(email));
            }
            _ => {}
        }
        caller.open_webui_groups = Arc::clone(&user.caller.open_webui_groups);
        Ok(Arc::new(caller))
    }
}

/// A caller who proves nothing. Where that is allowed to this machine alone, a proxy on this machine
/// is not: it brings in others.
fn anybody(fallback: &Arc<Caller>, sent: &HeaderMap) -> Result<Arc<Caller>, Refusal> {
    match headers::proxied(sent) {
        Some(name) if fallback.proof == Proof::Loopback => Err(Refusal::Proxied(name.to_string())),
        _ => Ok(Arc::clone(fallback)),
    }
}

/// The user of a token is the caller; a gateway that strips these headers from what clients send may
/// add what it knows of them.
fn user(
    session: Session,
    signed: Option<&SignedUser>,
    named: Option<&Named>,
    strips: bool,
    sent: &HeaderMap,
) -> Result<Arc<Caller>, Refusal> {
    let Session { caller, id } = session;
    let email = caller.email.as_deref();
    headers::check_user(sent, id.as_deref(), email)?;
    if let Some(signed) = signed {
        let is_other = match (&id, email, signed.email.as_deref()) {
            (Some(id), _, _) => **id != *signed.id,
            (None, Some(email), Some(other)) => !headers::is_same_email(email, other),
            (None, _, _) => true,
        };
        if is_other {
            return Err(Refusal::Contradiction);
        }
    }
    let Some(named) = named else {
        return Ok(caller);
    };
    if let (Some(email), Some(other)) = (email, named.email.as_deref())
        && !headers::is_same_email(email, other)
    {
        return Err(Refusal::Contradiction);
    }
    // A gateway that only proves itself may pass on what the client wrote.
    if !strips || !named.adds() {
        return Ok(caller);
    }
    let mut caller = Arc::unwrap_or_clone(caller);
    named.add_to(&mut caller);
    Ok(Arc::new(caller))
}

/// The password of Basic credentials; the user name is free.
pub(super) fn basic_password(credentials: &str) -> Result<String, Refusal> {
    let decoded = STANDARD.decode(credentials).map_err(|_| Refusal::Format)?;
    let text = String::from_utf8(decoded).map_err(|_| Refusal::Format)?;
    let (_user, password) = text.split_once(':').ok_or(Refusal::Format)?;
    Ok(password.to_owned())
}
