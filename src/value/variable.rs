//! The name of a value in conditions, which allow fewer characters: `-`, `.` and `/` become `_`.

/// A name as conditions write it: `_` for `-`, `.` and `/`.
pub fn in_conditions(name: &str) -> String {
    name.replace(['-', '.', '/'], "_")
}

/// The environment variable in which a program gets a value: `IN_` and the name in capitals, with `_` for everything
/// but letters and digits.
pub fn variable(name: &str) -> String {
    let capitals = name.chars().flat_map(char::to_uppercase);
    let fits = |c: char| if c.is_alphanumeric() { c } else { '_' };
    "IN_".chars().chain(capitals.map(fits)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stay_and_are_capitals() {
        assert_eq!(variable("order-id.v/2"), "IN_ORDER_ID_V_2");
        assert_eq!(variable("größe"), "IN_GRÖSSE");
        assert_eq!(in_conditions("order-id.v/2"), "order_id_v_2");
    }
}
