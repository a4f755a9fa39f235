//! Checks whether the leader alone can give the answer that a probe takes for the leader's.

use crate::config::findings::At;
use crate::config::vault_health;
use crate::probe::judge::Rules;

/// Why the path of Consul and Nomad tells no leader.
pub(in crate::config) const STATUS_LEADER: &str = "every server of Consul and Nomad answers 200 here, and names the leader in the body; ask /v1/agent/self, with \
     json = { \"/Stats/consul/leader\" = \"true\" } or, for Nomad, { \"/stats/nomad/leader\" = \"true\" } in probe.leader, \
     and \"false\" in probe.follower";

/// `None` if other nodes than the leader are known to give the same answer.
pub(super) fn check(uri: &str, rules: &Rules, at: &At<'_>) -> Option<()> {
    // What else a condition wants of the body may make up for the status.
    let by_status = || rules.leader.iter().filter(|condition| condition.json.is_empty());
    let leads =
        |status: u16| by_status().any(|condition| condition.status.iter().any(|it| it.contains(&status)));
    match uri.split('?').next().unwrap_or_default() {
        vault_health::PATH if by_status().next().is_some() => match vault_health::objection(uri, leads) {
            Some(why) => at.reject(why),
            None => Some(()),
        },
        "/v1/sys/leader" if by_status().next().is_some() => at.reject(
            "every node of Vault answers 200 here, and says in the body who leads; ask /v1/sys/health, or give each \
             condition of probe.leader json = { \"/is_self\" = true }",
        ),
        "/v1/status/leader" => at.reject(STATUS_LEADER),
        _ => Some(()),
    }
}
