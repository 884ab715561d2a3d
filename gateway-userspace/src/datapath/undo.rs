//! What to do when a change of many steps fails in the middle.

use super::{DatapathError, GatewayName};

type Step = Box<dyn FnOnce() -> Result<(), DatapathError>>;

/// The opposite of everything done so far.
#[derive(Default)]
pub(super) struct Undo {
    steps: Vec<Step>,
}

impl Undo {
    /// Notes how to undo what was just done, or is about to be done.
    pub(super) fn push(&mut self, step: impl FnOnce() -> Result<(), DatapathError> + 'static) {
        self.steps.push(Box::new(step));
    }

    /// Makes everything done so far final.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
    }

    /// Undoes everything, last things first, and returns what to report. A step that fails does
    /// not keep the others from running.
    pub(super) fn roll_back(self, name: &GatewayName, cause: DatapathError) -> DatapathError {
        let failures: Vec<String> = self
            .steps
            .into_iter()
            .rev()
            .filter_map(|step| step().err())
            .map(|error| error.to_string())
            .collect();
        if failures.is_empty() {
            return cause;
        }
        DatapathError::NotUndone { name: name.to_string(), cause: Box::new(cause), failures }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    #[test]
    fn steps_run_backwards_and_all_of_them() {
        let order = Rc::new(RefCell::new(Vec::new()));
        let mut undo = Undo::default();
        for number in 1..=3 {
            let order = Rc::clone(&order);
            undo.push(move || {
                order.borrow_mut().push(number);
                if number == 2 { Err(DatapathError::NoObject) } else { Ok(()) }
            });
        }
        let name = GatewayName::new("wan").expect("valid");
        let error = undo.roll_back(&name, DatapathError::NoObject);
        assert_eq!(*order.borrow(), [3, 2, 1]);
        assert!(
            matches!(&error, DatapathError::NotUndone { failures, .. } if failures.len() == 1),
            "{error}"
        );
    }

    #[test]
    fn a_clean_roll_back_reports_the_cause_alone() {
        let name = GatewayName::new("wan").expect("valid");
        let error = Undo::default().roll_back(&name, DatapathError::NoObject);
        assert!(matches!(error, DatapathError::NoObject), "{error}");
    }
}
