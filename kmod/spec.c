// SPDX-License-Identifier: GPL-2.0-only
/* The request for a context: what CTX_NEW and CTX_SET may hold. */
#include <net/genetlink.h>

#include "shim6.h"

/* Not const for 6.1. */
struct netlink_range_validation shim6_tag_range = { .min = 1, .max = SHIM6_TAG_MAX };
static struct netlink_range_validation timeout_range = {
	.min = SHIM6_TIMEOUT_MS_MIN,
	.max = SHIM6_TIMEOUT_MS_MAX,
};

static struct netlink_range_validation interval_range = {
	.min = SHIM6_INTERVAL_MS_MIN,
	.max = SHIM6_TIMEOUT_MS_MAX,
};

static const struct nla_policy path_policy[SHIM6_PATH_A_MAX + 1] = {
	[SHIM6_PATH_A_LOCAL] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
	[SHIM6_PATH_A_PEER] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
};

static const struct nla_policy paths_policy[SHIM6_A_PATH + 1] = {
	[SHIM6_A_PATH] = NLA_POLICY_NESTED(path_policy),
};

static const struct nla_policy locators_policy[SHIM6_A_LOCATOR + 1] = {
	[SHIM6_A_LOCATOR] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
};

const struct nla_policy shim6_new_policy[SHIM6_A_MAX + 1] = {
	[SHIM6_A_ULID_LOCAL] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
	[SHIM6_A_ULID_PEER] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
	[SHIM6_A_FII] = { .type = NLA_U32 },
	[SHIM6_A_TAG_LOCAL] = NLA_POLICY_FULL_RANGE(NLA_U64, &shim6_tag_range),
	[SHIM6_A_TAG_PEER] = NLA_POLICY_FULL_RANGE(NLA_U64, &shim6_tag_range),
	[SHIM6_A_PATHS] = NLA_POLICY_NESTED(paths_policy),
	[SHIM6_A_LOCATORS_LOCAL] = NLA_POLICY_NESTED(locators_policy),
	[SHIM6_A_SEND_TIMEOUT_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &timeout_range),
	[SHIM6_A_KEEPALIVE_TIMEOUT_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &timeout_range),
	[SHIM6_A_KEEPALIVE_INTERVAL_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &interval_range),
};

const struct nla_policy shim6_set_policy[SHIM6_A_MAX + 1] = {
	[SHIM6_A_TAG_LOCAL] = NLA_POLICY_FULL_RANGE(NLA_U64, &shim6_tag_range),
	[SHIM6_A_TAG_PEER] = NLA_POLICY_FULL_RANGE(NLA_U64, &shim6_tag_range),
	[SHIM6_A_PATHS] = NLA_POLICY_NESTED(paths_policy),
	[SHIM6_A_LOCATORS_LOCAL] = NLA_POLICY_NESTED(locators_policy),
	[SHIM6_A_SEND_TIMEOUT_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &timeout_range),
	[SHIM6_A_KEEPALIVE_TIMEOUT_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &timeout_range),
	[SHIM6_A_KEEPALIVE_INTERVAL_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &interval_range),
};

/* Take an address that may be a ULID or locator; otherwise say what is wrong and be true. */
#define bad_addr(extack, attr, name, addr) ({					\
	const struct nlattr *_attr = (attr);					\
	struct in6_addr *_addr = (addr);					\
	bool _bad;								\
	*_addr = nla_get_in6_addr(_attr);					\
	_bad = !shim6_addr_ok(_addr);						\
	if (_bad)								\
		NL_SET_ERR_MSG_ATTR(extack, _attr,				\
				    name " is not unicast of global scope");	\
	_bad;									\
})

static int parse_paths(struct shim6_spec *spec, const struct nlattr *paths, struct netlink_ext_ack *extack)
{
	struct nlattr *tb[SHIM6_PATH_A_MAX + 1];
	const struct nlattr *attr;
	int rem, err;

	nla_for_each_nested(attr, paths, rem) {
		if (spec->n_paths == SHIM6_MAX_PATHS) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "PATHS has too many");
			return -EINVAL;
		}
		err = nla_parse_nested(tb, SHIM6_PATH_A_MAX, attr, path_policy, extack);
		if (err)
			return err;
		if (!tb[SHIM6_PATH_A_LOCAL] || !tb[SHIM6_PATH_A_PEER]) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "PATH needs LOCAL and PEER");
			return -EINVAL;
		}
		if (bad_addr(extack, tb[SHIM6_PATH_A_LOCAL], "LOCAL", &spec->path[spec->n_paths].local) ||
		    bad_addr(extack, tb[SHIM6_PATH_A_PEER], "PEER", &spec->path[spec->n_paths].peer))
			return -EINVAL;
		spec->n_paths++;
	}
	if (!spec->n_paths) {
		NL_SET_ERR_MSG_ATTR(extack, paths, "PATHS is empty");
		return -EINVAL;
	}
	spec->has |= SHIM6_HAS_PATHS;
	return 0;
}

static int parse_locators(struct shim6_spec *spec, const struct nlattr *locators,
			  struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	int rem;

	nla_for_each_nested(attr, locators, rem) {
		if (spec->n_locators == SHIM6_MAX_LOCATORS) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "LOCATORS_LOCAL has too many");
			return -EINVAL;
		}
		if (bad_addr(extack, attr, "LOCATOR", &spec->locator[spec->n_locators]))
			return -EINVAL;
		spec->n_locators++;
	}
	if (!spec->n_locators) {
		NL_SET_ERR_MSG_ATTR(extack, locators, "LOCATORS_LOCAL is empty");
		return -EINVAL;
	}
	spec->has |= SHIM6_HAS_LOCATORS;
	return 0;
}

static int parse_ulids(struct shim6_spec *spec, struct genl_info *info)
{
	const struct nlattr *local = info->attrs[SHIM6_A_ULID_LOCAL];
	const struct nlattr *peer = info->attrs[SHIM6_A_ULID_PEER];

	if (bad_addr(info->extack, local, "ULID_LOCAL", &spec->ulids.local) ||
	    bad_addr(info->extack, peer, "ULID_PEER", &spec->ulids.peer))
		return -EINVAL;
	if (ipv6_addr_equal(&spec->ulids.local, &spec->ulids.peer)) {
		NL_SET_ERR_MSG_ATTR(info->extack, peer, "ULID_PEER is ULID_LOCAL");
		return -EINVAL;
	}
	return 0;
}

/* TAG_LOCAL is there, and for CTX_NEW all that it needs. */
int shim6_spec_parse(struct shim6_spec *spec, struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;
	int err;

	spec->tag_local = nla_get_u64(attrs[SHIM6_A_TAG_LOCAL]);
	if (attrs[SHIM6_A_ULID_LOCAL]) {
		err = parse_ulids(spec, info);
		if (err)
			return err;
	}
	if (attrs[SHIM6_A_FII])
		spec->fii = nla_get_u32(attrs[SHIM6_A_FII]);

	if (attrs[SHIM6_A_TAG_PEER]) {
		spec->tag_peer = nla_get_u64(attrs[SHIM6_A_TAG_PEER]);
		spec->has |= SHIM6_HAS_TAG_PEER;
	}
	if (attrs[SHIM6_A_PATHS]) {
		err = parse_paths(spec, attrs[SHIM6_A_PATHS], info->extack);
		if (err)
			return err;
	}
	if (attrs[SHIM6_A_LOCATORS_LOCAL]) {
		err = parse_locators(spec, attrs[SHIM6_A_LOCATORS_LOCAL], info->extack);
		if (err)
			return err;
	}
	if (attrs[SHIM6_A_SEND_TIMEOUT_MS]) {
		spec->send_timeout_ms = nla_get_u32(attrs[SHIM6_A_SEND_TIMEOUT_MS]);
		spec->has |= SHIM6_HAS_SEND_TIMEOUT;
	}
	if (attrs[SHIM6_A_KEEPALIVE_TIMEOUT_MS]) {
		spec->keepalive_timeout_ms = nla_get_u32(attrs[SHIM6_A_KEEPALIVE_TIMEOUT_MS]);
		spec->has |= SHIM6_HAS_KEEPALIVE_TIMEOUT;
	}
	if (attrs[SHIM6_A_KEEPALIVE_INTERVAL_MS]) {
		spec->keepalive_interval_ms = nla_get_u32(attrs[SHIM6_A_KEEPALIVE_INTERVAL_MS]);
		spec->has |= SHIM6_HAS_INTERVAL;
	}
	return 0;
}
