//! Names of interfaces.

/// The longest name of an interface, in bytes: the kernel's `IFNAMSIZ` without the final zero.
pub const INTERFACE_NAME_LEN_MAX: usize = 15;

/// Checks the name of an interface as the kernel does.
///
/// # Errors
///
/// What is wrong with the name, for people.
pub fn check_interface_name(name: &str) -> Result<(), String> {
    let refused = |letter: char| letter == '/' || letter == ':' || letter.is_whitespace();
    if name.is_empty()
        || name.len() > INTERFACE_NAME_LEN_MAX
        || name == "."
        || name == ".."
        || name.contains(refused)
    {
        return Err(format!(
            "'{name}' is not a valid interface name: Linux allows 1 to {INTERFACE_NAME_LEN_MAX} \
             bytes without '/', ':' and blanks"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_follow_the_kernel() {
        for good in ["eth0", "eth0.100", "wan@home", "fifteen-letters"] {
            assert_eq!(check_interface_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "a:1", "sixteen-letters-"] {
            assert!(check_interface_name(bad).is_err(), "{bad}");
        }
    }
}
