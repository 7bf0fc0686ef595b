"""Hypothesis: TLS on listeners and towards backends, from small pools as the rest of a mesh."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Said = dict[str, Any]

CERTIFICATES = tuple(
    f"arn:aws:acm:us-west-2:000000000000:certificate/{name}" for name in ("a", "b", "unknown")
)
AUTHORITIES = tuple(
    f"arn:aws:acm-pca:us-west-2:000000000000:certificate-authority/{name}"
    for name in ("a", "b", "unknown")
)
_SECRETS = ("spiffe://shop/a", "plain", "\n")
_PATHS = ("/certs/a.pem", "b.pem", "dir/../c.pem")

files = st.fixed_dictionaries(
    {
        "certificateChain": st.sampled_from(_PATHS),
        "privateKey": st.sampled_from(("/certs/a.key", "b.key")),
    }
)
sds = st.fixed_dictionaries(
    {"sds": st.fixed_dictionaries({"secretName": st.sampled_from(_SECRETS)})}
)
client_certificates = st.one_of(st.fixed_dictionaries({"file": files}), sds)
listener_certificates = st.one_of(
    client_certificates,
    st.fixed_dictionaries(
        {"acm": st.fixed_dictionaries({"certificateArn": st.sampled_from(CERTIFICATES)})}
    ),
)
_file_trust = st.fixed_dictionaries(
    {"file": st.fixed_dictionaries({"certificateChain": st.sampled_from(_PATHS)})}
)
listener_trust = st.one_of(_file_trust, sds)
client_trust = st.one_of(
    listener_trust,
    st.fixed_dictionaries(
        {
            "acm": st.fixed_dictionaries(
                {
                    "certificateAuthorityArns": st.lists(
                        st.sampled_from(AUTHORITIES), min_size=1, max_size=3
                    )
                }
            )
        }
    ),
)
subjects = st.sampled_from(["a.test", "spiffe://shop/a", "10.0.0.1", "a_b.test."])
names = st.fixed_dictionaries(
    {
        "match": st.fixed_dictionaries(
            {"exact": st.lists(subjects, max_size=2)},
        )
    }
)
listener_tls = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["STRICT", "PERMISSIVE", "DISABLED"]),
        "certificate": listener_certificates,
    },
    optional={
        "validation": st.fixed_dictionaries(
            {"trust": listener_trust}, optional={"subjectAlternativeNames": names}
        )
    },
)
client_tls = st.fixed_dictionaries(
    {
        "validation": st.fixed_dictionaries(
            {"trust": client_trust}, optional={"subjectAlternativeNames": names}
        )
    },
    optional={
        "certificate": client_certificates,
        "enforce": st.booleans(),
        "ports": st.lists(st.sampled_from([80, 443, 9080]), max_size=2),
    },
)
client_policies = st.one_of(st.just({}), st.fixed_dictionaries({"tls": client_tls}))
_chains = st.sampled_from(["CHAIN", "CHAIN\nMORE"])
kept_certificates = st.fixed_dictionaries(
    {},
    optional={
        arn: st.fixed_dictionaries(
            {"certificateChain": _chains, "privateKey": st.just("KEY")},
            optional={
                "authorityArn": st.sampled_from([None, *AUTHORITIES]),
                "rootChain": st.sampled_from([None, "ROOT"]),
            },
        )
        for arn in CERTIFICATES[:2]
    },
)
kept_authorities = st.fixed_dictionaries(
    {},
    optional={arn: st.fixed_dictionaries({"certificateChain": _chains}) for arn in AUTHORITIES[:2]},
)
