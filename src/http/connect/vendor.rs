//! The names of the companies that run well-known servers.

use url::{Host, Url};

/// Domains of well-known servers and the names of their companies. The name that a server gives
/// itself is not used: on the page where users decide whether to log in, a server could pretend to
/// be another one.
const VENDORS: [(&str, &str); 34] = [
    ("airtable.com", "Airtable"),
    ("asana.com", "Asana"),
    ("atlassian.com", "Atlassian"),
    ("box.com", "Box"),
    ("canva.com", "Canva"),
    ("clickup.com", "ClickUp"),
    ("cloudflare.com", "Cloudflare"),
    ("datadoghq.com", "Datadog"),
    ("datadoghq.eu", "Datadog"),
    ("dropbox.com", "Dropbox"),
    ("figma.com", "Figma"),
    ("github.com", "GitHub"),
    ("githubcopilot.com", "GitHub"),
    ("gitlab.com", "GitLab"),
    ("googleapis.com", "Google"),
    ("grafana.com", "Grafana"),
    ("hubspot.com", "HubSpot"),
    ("huggingface.co", "Hugging Face"),
    ("intercom.com", "Intercom"),
    ("linear.app", "Linear"),
    ("microsoft.com", "Microsoft"),
    ("miro.com", "Miro"),
    ("monday.com", "monday.com"),
    ("neon.tech", "Neon"),
    ("notion.com", "Notion"),
    ("paypal.com", "PayPal"),
    ("pulumi.com", "Pulumi"),
    ("sentry.dev", "Sentry"),
    ("slack.com", "Slack"),
    ("squareup.com", "Square"),
    ("stripe.com", "Stripe"),
    ("supabase.com", "Supabase"),
    ("vercel.com", "Vercel"),
    ("zapier.com", "Zapier"),
];

/// The name of the company, if the address is below one of its domains.
pub fn vendor_of(server: &Url) -> Option<&'static str> {
    let Some(Host::Domain(host)) = server.host() else {
        return None;
    };
    let is_under = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let found = VENDORS.iter().find(|(domain, _)| is_under(domain));
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_company_is_known_by_its_own_domain_alone() {
        for (url, name) in [
            ("https://mcp.notion.com/mcp", Some("Notion")),
            ("https://notion.com", Some("Notion")),
            ("https://evil-notion.com/mcp", None),
            ("https://notion.com.evil.example/mcp", None),
            ("https://mcp.example.org/notion.com", None),
            ("http://127.0.0.1:9/mcp", None),
        ] {
            assert_eq!(vendor_of(&url.parse().unwrap()), name, "{url}");
        }
    }
}
