//! Bodies against what mcpo made of them, real servers' schemas, and schemas nobody would write.

use serde_json::{Map, Value, json};

use super::{types::same, *};

mod golden;
