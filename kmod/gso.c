// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who cuts up what is larger than the path's MTU once it has a Payload Extension Header: this module before the header
 * is there, or whoever comes later. Later means this kernel for a device that does not segment, and that goes well, for
 * its generic code has our offload. A device that takes whole packets may be hardware that computes the TCP checksum
 * from the locators, or lead to another kernel, a host's or that of a forwarder, which drops or misreads what is behind
 * the header.
 */
#include <linux/glob.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/genetlink.h>

#include "shim6.h"

static const struct nla_policy device_policy[SHIM6_DEV_A_MAX + 1] = {
	[SHIM6_DEV_A_NAME] = { .type = NLA_NUL_STRING, .len = IFNAMSIZ - 1 },
	[SHIM6_DEV_A_GSO_MODE] = NLA_POLICY_MAX(NLA_U8, SHIM6_GSO_MAX),
};

const struct nla_policy shim6_gso_policy[SHIM6_A_DEVICE + 1] = {
	[SHIM6_A_DEVICE] = NLA_POLICY_NESTED(device_policy),
};

/**
 * shim6_gso_rules_new - read what is to hold for single devices
 * @list: nested SHIM6_A_DEVICE
 * @extack: what was wrong
 *
 * Return: NULL for an empty list, the rules in their order, or an error.
 */
struct shim6_gso_rules *shim6_gso_rules_new(const struct nlattr *list, struct netlink_ext_ack *extack)
{
	struct nlattr *tb[SHIM6_DEV_A_MAX + 1];
	struct shim6_gso_rules *rules;
	const struct nlattr *attr;
	int rem, err;

	if (!nla_len(list))
		return NULL;
	rules = kzalloc(struct_size(rules, rule, SHIM6_MAX_GSO_DEVICES), GFP_KERNEL_ACCOUNT);
	if (!rules)
		return ERR_PTR(-ENOMEM);
	nla_for_each_nested(attr, list, rem) {
		struct shim6_gso_rule *rule = &rules->rule[rules->n];

		err = -EINVAL;
		if (rules->n == SHIM6_MAX_GSO_DEVICES) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "GSO_DEVICES has too many");
			goto err;
		}
		err = nla_parse_nested(tb, SHIM6_DEV_A_MAX, attr, device_policy, extack);
		if (err)
			goto err;
		err = -EINVAL;
		if (!tb[SHIM6_DEV_A_NAME] || !tb[SHIM6_DEV_A_GSO_MODE]) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "DEVICE needs NAME and GSO_MODE");
			goto err;
		}
		if (!dev_valid_name(nla_data(tb[SHIM6_DEV_A_NAME]))) {
			NL_SET_ERR_MSG_ATTR(extack, tb[SHIM6_DEV_A_NAME], "NAME is not that of a device");
			goto err;
		}
		nla_strscpy(rule->name, tb[SHIM6_DEV_A_NAME], sizeof(rule->name));
		rule->mode = nla_get_u8(tb[SHIM6_DEV_A_GSO_MODE]);
		rules->n++;
	}
	return rules;

err:
	kfree(rules);
	return ERR_PTR(err);
}

/* Takes over the rules, of which NULL is none. sn->lock is held, or the namespace is going. */
void shim6_gso_rules_select(struct shim6_net *sn, struct shim6_gso_rules *rules)
{
	struct shim6_gso_rules *old = rcu_dereference_protected(sn->gso_rules, 1);

	rcu_assign_pointer(sn->gso_rules, rules);
	if (old)
		kfree_rcu(old, rcu);
}

/* The rules as they were given. sn->lock is held. */
int shim6_gso_fill_rules(struct sk_buff *skb, struct shim6_net *sn)
{
	const struct shim6_gso_rules *rules = rcu_dereference_protected(sn->gso_rules,
									lockdep_is_held(&sn->lock));
	struct nlattr *list = nla_nest_start(skb, SHIM6_A_GSO_DEVICES), *nest;
	unsigned int i;

	if (!list)
		return -EMSGSIZE;
	for (i = 0; rules && i < rules->n; i++) {
		nest = nla_nest_start(skb, SHIM6_A_DEVICE);
		if (!nest || nla_put_string(skb, SHIM6_DEV_A_NAME, rules->rule[i].name) ||
		    nla_put_u8(skb, SHIM6_DEV_A_GSO_MODE, rules->rule[i].mode))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	nla_nest_end(skb, list);
	return 0;
}

/* The caller is in an RCU read section. */
static enum shim6_gso_why decide(struct shim6_net *sn, const struct net_device *dev, int gso_type, bool *whole)
{
	const struct shim6_gso_rules *rules = rcu_dereference(sn->gso_rules);
	enum shim6_gso_why why = SHIM6_GSO_WHY_NETNS;
	u8 mode = READ_ONCE(sn->gso_mode);
	unsigned int i;

	for (i = 0; rules && i < rules->n; i++) {
		if (!glob_match(rules->rule[i].name, dev->name))
			continue;
		mode = rules->rule[i].mode;
		why = SHIM6_GSO_WHY_DEVICE;
		break;
	}
	if (mode == SHIM6_GSO_AUTO) {
		*whole = !net_gso_ok(dev->features, gso_type);
		return *whole ? SHIM6_GSO_WHY_SOFTWARE : SHIM6_GSO_WHY_HARDWARE;
	}
	*whole = mode == SHIM6_GSO_WHOLE;
	return why;
}

bool shim6_gso_whole_by_rules(struct shim6_net *sn, const struct net_device *dev, int gso_type)
{
	bool whole;

	decide(sn, dev, gso_type, &whole);
	return whole;
}

static int fill_device(struct sk_buff *skb, struct netlink_callback *cb, struct shim6_net *sn,
		       const struct net_device *dev)
{
	enum shim6_gso_why why;
	struct nlattr *nest;
	void *head;
	bool whole;

	head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &shim6_genl, NLM_F_MULTI,
			   SHIM6_CMD_DEV_GET);
	if (!head)
		return -EMSGSIZE;
	rcu_read_lock();
	why = decide(sn, dev, SKB_GSO_TCPV6, &whole);
	rcu_read_unlock();
	nest = nla_nest_start(skb, SHIM6_A_DEVICE);
	if (!nest || nla_put_string(skb, SHIM6_DEV_A_NAME, dev->name) ||
	    nla_put_u8(skb, SHIM6_DEV_A_GSO_MODE, whole ? SHIM6_GSO_WHOLE : SHIM6_GSO_SEGMENT) ||
	    nla_put_u32(skb, SHIM6_DEV_A_IFINDEX, dev->ifindex) ||
	    nla_put_u8(skb, SHIM6_DEV_A_GSO_WHY, why)) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	genlmsg_end(skb, head);
	return 0;
}

/* Goes on at the place in args[0]; devices that come or go meanwhile may be missed or shown twice. */
int shim6_gso_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct net *net = sock_net(skb->sk);
	const struct net_device *dev;
	long i = 0;

	rtnl_lock();
	for_each_netdev(net, dev) {
		if (i++ < cb->args[0] || dev->flags & IFF_LOOPBACK)
			continue;
		if (fill_device(skb, cb, shim6_net(net), dev))
			break;
		cb->args[0] = i;
	}
	rtnl_unlock();
	return skb->len;
}
