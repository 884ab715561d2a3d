//! What an operator can do who would be locked out.

use gateway_common::{policy::Ruling, verdict::Reason};

use super::{Cause, blocked, rule};
use crate::{session::SshSession, settings::Policy};

/// What to do, one way on a line.
pub(super) fn text(session: &SshSession, cause: &Cause, policy: &Policy) -> String {
    let change = match cause {
        Cause::Refused(Reason::MartianSource | Reason::MartianDestination) => {
            "add the prefix to 'except' in [martians]".to_owned()
        }
        Cause::Refused(_) => "log in from another address".to_owned(),
        Cause::Policy(decision) => match decision.ruling {
            Ruling::RuleDenied => {
                let rule = rule(decision, policy);
                publish(session, &format!("before {rule} of the configuration file"))
            }
            Ruling::RouteBlocked => {
                let blocked = blocked(decision, policy);
                format!("choose another route in the configuration file, where {blocked}")
            }
            Ruling::IngressSpoof => {
                "narrow the subnet in the configuration file that holds the client's address"
                    .to_owned()
            }
            Ruling::NoPolicy
            | Ruling::RuleAllowed
            | Ruling::RouteAllowed
            | Ruling::Unsolicited
            | Ruling::EgressSpoof
            | Ruling::InsideDestination => publish(session, "in the configuration file"),
        },
    };
    format!(
        "{change}\nor use --confirm 60 to have the gateway detached after a minute, unless 'eigw \
         confirm' comes before\nor use --force if there is another way in"
    )
}

/// The rule that lets the client in, and where it has to stand.
fn publish(session: &SshSession, place: &str) -> String {
    format!(
        "publish the port {place}:\n\n    [[rule]]\n    direction = \"in\"\n    action = \
         \"allow\"\n    proto = \"tcp\"\n    ports = {}\n    from = [\"{}\"]\n",
        session.server.port(),
        session.client.ip(),
    )
}
