//! The conformance table on the host: the packet logic without a kernel, no root needed.

use gateway_common::config::Config;
use tests::{
    model::Model,
    rows::{
        THEMES,
        check::{TICKS_PER_SEC, check},
    },
};

/// Every packet of every row does what the row says, and nothing else.
#[test]
fn every_row_holds() {
    let mut failures = Vec::new();
    let mut count = 0;
    for (theme, rows) in THEMES {
        for row in rows() {
            let mut model = Model::new(&Config::new(TICKS_PER_SEC), 1, 1);
            if let Err(difference) = check(&row, &mut model) {
                failures.push(format!("{theme}: {difference}"));
            }
            count += 1;
        }
    }
    let failed = failures.len();
    assert!(failures.is_empty(), "{failed} of {count} rows:\n\n{}", failures.join("\n\n"));
}
