//! The names under which choices of a policy are stored beside it in the kernel: those of the
//! configuration file.

use gateway_common::{
    policy::{Action, Route},
    tuple::Direction,
};
use serde::{Deserialize, Serialize};

/// As [`Route`].
#[derive(Deserialize, Serialize)]
#[serde(remote = "Route", rename_all = "kebab-case")]
pub(crate) enum RouteName {
    Blocked,
    EgressOnly,
    Internet,
}

/// As [`Action`].
#[derive(Deserialize, Serialize)]
#[serde(remote = "Action", rename_all = "kebab-case")]
pub(crate) enum ActionName {
    Deny,
    Allow,
}

/// As [`Direction`].
#[derive(Deserialize, Serialize)]
#[serde(remote = "Direction")]
pub(crate) enum DirectionName {
    #[serde(rename = "in")]
    Inbound,
    #[serde(rename = "out")]
    Outbound,
}
