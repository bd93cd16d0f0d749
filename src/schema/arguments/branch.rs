//! Branches of unions: parts of a schema that are validated separately.

use std::fmt::Write as _;

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

use crate::schema::meter::charge;

use super::{
    counted::{MeteredJson, MeteredValue},
    node::NodeId,
    plan::ArgumentPlan,
    repair,
    types::ValueTypeSet,
};

/// The URI of the document in the compiled schema of a part.
const DOCUMENT: &str = "urn:arguments";

/// Whether a value is valid for one node alone.
pub fn is_valid(plan: &ArgumentPlan, id: NodeId, value: &Value) -> bool {
    let node = plan.node(id);
    if node.whole.contains(ValueTypeSet::of(value)) {
        return true;
    }
    if !node.possible.contains(ValueTypeSet::of(value)) || !plan.judges_branches() {
        return false;
    }
    // A part that does not compile accepts nothing, so nothing is converted for it.
    let validator = node.validator.get_or_init(|| compile(plan, &node.pointer));
    validator
        .as_ref()
        .is_some_and(|validator| validator.is_valid(MeteredValue(value)))
}

/// Compiles the part of the document at a pointer.
fn compile(plan: &ArgumentPlan, pointer: &str) -> Option<Validator<MeteredJson>> {
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

/// Returns a JSON pointer as a URI fragment.
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
