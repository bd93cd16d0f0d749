//! The branches of unions: parts of a schema, each validated on its own.

use std::fmt::Write as _;

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

use crate::schema::meter::charge;

use super::{
    counted::{Counted, Seen},
    plan::{NodeId, Plan},
    repair,
    types::Types,
};

/// Stands for the document where a part of it is compiled.
const DOCUMENT: &str = "urn:arguments";

/// True if a value is valid for one node on its own.
pub fn is_valid(plan: &Plan, id: NodeId, value: &Value) -> bool {
    let node = plan.node(id);
    if node.whole.contains(Types::of(value)) {
        return true;
    }
    if !node.possible.contains(Types::of(value)) || !plan.judges_branches() {
        return false;
    }
    // A part that does not compile takes nothing: then nothing is converted for its sake.
    let validator = node.validator.get_or_init(|| compile(plan, &node.pointer));
    validator
        .as_ref()
        .is_some_and(|validator| validator.is_valid(Seen(value)))
}

/// Compiles the part of the document at a pointer.
fn compile(plan: &Plan, pointer: &str) -> Option<Validator<Counted>> {
    charge(
        u64::try_from(plan.size())
            .unwrap_or(u64::MAX)
            .saturating_mul(4),
    );
    let draft = plan.draft();
    let document = draft.create_resource(plan.schema().clone());
    let registry = Registry::new()
        .add(DOCUMENT, document)
        .ok()?
        .draft(draft)
        .prepare()
        .ok()?;
    let reference = json!({ "$ref": format!("{DOCUMENT}#{}", fragment(pointer)) });
    repair::options(draft)
        .with_registry(&registry)
        .build(&reference)
        .ok()
}

/// A JSON pointer as part of a URI.
fn fragment(pointer: &str) -> String {
    let mut fragment = String::with_capacity(pointer.len());
    for byte in pointer.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            fragment.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(fragment, "%{byte:02X}").unwrap_or_default();
        }
    }
    fragment
}
