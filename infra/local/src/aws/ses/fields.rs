//! The fields of a request in the Query protocol, which spells lists and maps in their names.

/// The fields of a request, by names such as `RawMessage.Data` and `Destinations.member.1`.
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|number| self.get(&format!("{name}.member.{number}"))).collect()
    }

    /// The `Name` and `Value` of each member of a list.
    pub(super) fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let pair = |number| {
            let value = self.get(&format!("{name}.member.{number}.Value")).unwrap_or_default();
            Some((self.get(&format!("{name}.member.{number}.Name"))?.to_owned(), value.to_owned()))
        };
        (1..).map_while(pair).collect()
    }
}
