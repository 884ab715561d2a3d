//! The fields of a line in the format of AWS VPC flow logs.

/// Declares [`Field`] with the names that AWS gives its fields and the version that brought each.
macro_rules! fields {
    ($( $variant:ident, $name:literal, $version:literal; )*) => {
        /// A field of a line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field {
            $( #[doc = concat!("`", $name, "`")] $variant, )*
        }

        impl Field {
            /// Every field, in the order of the versions; ours are last.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The name in a list of fields and in the first line of a file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// The version of the format that brought it; zero for what only this gateway has.
            #[must_use]
            pub const fn version(self) -> u8 {
                match self { $( Self::$variant => $version, )* }
            }
        }
    };
}

fields! {
    Version, "version", 2;
    AccountId, "account-id", 2;
    InterfaceId, "interface-id", 2;
    SrcAddr, "srcaddr", 2;
    DstAddr, "dstaddr", 2;
    SrcPort, "srcport", 2;
    DstPort, "dstport", 2;
    Protocol, "protocol", 2;
    Packets, "packets", 2;
    Bytes, "bytes", 2;
    Start, "start", 2;
    End, "end", 2;
    Action, "action", 2;
    LogStatus, "log-status", 2;
    VpcId, "vpc-id", 3;
    SubnetId, "subnet-id", 3;
    InstanceId, "instance-id", 3;
    TcpFlags, "tcp-flags", 3;
    Type, "type", 3;
    PktSrcAddr, "pkt-srcaddr", 3;
    PktDstAddr, "pkt-dstaddr", 3;
    Region, "region", 4;
    AzId, "az-id", 4;
    SublocationType, "sublocation-type", 4;
    SublocationId, "sublocation-id", 4;
    PktSrcAwsService, "pkt-src-aws-service", 5;
    PktDstAwsService, "pkt-dst-aws-service", 5;
    FlowDirection, "flow-direction", 5;
    TrafficPath, "traffic-path", 5;
    Reason, "reason", 0;
    Rule, "rule", 0;
    State, "state", 0;
    EndReason, "end-reason", 0;
}

impl Field {
    /// How many fields the default line has: those of version 2.
    const DEFAULT_COUNT: usize = 14;

    /// The fields of the default line.
    #[must_use]
    pub fn default_line() -> &'static [Self] {
        &Self::ALL[..Self::DEFAULT_COUNT]
    }

    /// The field of this name, which may be written as AWS writes it in a format: `${srcaddr}`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
        let name = inner.unwrap_or(text);
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// The version of a line with these fields: the highest that one of them needs.
    #[must_use]
    pub fn version_of(fields: &[Self]) -> u8 {
        fields.iter().map(|field| field.version()).fold(2, u8::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_line_is_version_two() {
        let names: Vec<_> = Field::default_line().iter().map(|field| field.name()).collect();
        assert_eq!(
            names.join(" "),
            "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets \
             bytes start end action log-status"
        );
        assert_eq!(Field::version_of(Field::default_line()), 2);
        assert!(Field::ALL[Field::DEFAULT_COUNT..].iter().all(|field| field.version() != 2));
    }

    #[test]
    fn names_read_back_and_versions_are_the_highest() {
        for &field in Field::ALL {
            assert_eq!(Field::parse(field.name()), Some(field));
            assert_eq!(Field::parse(&format!("${{{}}}", field.name())), Some(field));
        }
        assert_eq!(Field::parse("src-addr"), None);
        assert_eq!(Field::version_of(&[Field::Reason]), 2);
        assert_eq!(Field::version_of(&[Field::TcpFlags, Field::AzId, Field::Reason]), 4);
        assert_eq!(Field::version_of(Field::ALL), 5);
    }
}
