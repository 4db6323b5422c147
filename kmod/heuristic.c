// SPDX-License-Identifier: GPL-2.0-only
#include <linux/capability.h>
#include <linux/kmod.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/spinlock.h>
#include <net/netlink.h>

#include "shim6.h"

static LIST_HEAD(heuristics);
static DEFINE_SPINLOCK(heuristics_lock);

static struct shim6_heuristic *find(const char *name)
{
	struct shim6_heuristic *heuristic;

	list_for_each_entry(heuristic, &heuristics, list)
		if (!strcmp(heuristic->name, name))
			return heuristic;
	return NULL;
}

/**
 * shim6_register_heuristic - let network namespaces choose a heuristic
 * @heuristic: stays with the caller until it is unregistered
 *
 * Return: 0, -EINVAL when name, owner or packet is missing, -EEXIST when the name is taken.
 */
int shim6_register_heuristic(struct shim6_heuristic *heuristic)
{
	int err = 0;

	if (!heuristic->name[0] || strnlen(heuristic->name, sizeof(heuristic->name)) == sizeof(heuristic->name) ||
	    !heuristic->packet)
		return -EINVAL;

	spin_lock(&heuristics_lock);
	if (!strcmp(heuristic->name, "none") || find(heuristic->name))
		err = -EEXIST;
	else
		list_add_tail(&heuristic->list, &heuristics);
	spin_unlock(&heuristics_lock);
	return err;
}
EXPORT_SYMBOL_GPL(shim6_register_heuristic);

/**
 * shim6_unregister_heuristic - undo shim6_register_heuristic()
 * @heuristic: is in use by no namespace, for that holds @heuristic->owner
 */
void shim6_unregister_heuristic(struct shim6_heuristic *heuristic)
{
	spin_lock(&heuristics_lock);
	list_del(&heuristic->list);
	spin_unlock(&heuristics_lock);
}
EXPORT_SYMBOL_GPL(shim6_unregister_heuristic);

static struct shim6_heuristic *get_registered(const char *name)
{
	struct shim6_heuristic *heuristic;

	spin_lock(&heuristics_lock);
	heuristic = find(name);
	if (heuristic && !try_module_get(heuristic->owner))
		heuristic = NULL;
	spin_unlock(&heuristics_lock);
	return heuristic;
}

/**
 * shim6_heuristic_get - find a heuristic, loading its module if the caller may
 * @name: of the heuristic
 *
 * Return: NULL for "none", the heuristic with a reference on its module, or -ENOENT.
 */
const struct shim6_heuristic *shim6_heuristic_get(const char *name)
{
	struct shim6_heuristic *heuristic;

	if (!strcmp(name, "none"))
		return NULL;
	heuristic = get_registered(name);
	if (!heuristic && capable(CAP_NET_ADMIN)) {
		request_module("shim6-heur-%s", name);
		heuristic = get_registered(name);
	}
	return heuristic ?: ERR_PTR(-ENOENT);
}

/* Takes over the reference on the new heuristic's module. sn->lock is held, or the namespace is going. */
void shim6_heuristic_select(struct shim6_net *sn, const struct shim6_heuristic *heuristic)
{
	const struct shim6_heuristic *old = rcu_dereference_protected(sn->heuristic, 1);

	if (old) {
		/* Without a heuristic no candidate is made, and none is shown to the old one. */
		RCU_INIT_POINTER(sn->heuristic, NULL);
		synchronize_rcu();
		shim6_flow_flush(sn);
		rcu_barrier();
	}
	rcu_assign_pointer(sn->heuristic, heuristic);
	if (old)
		module_put(old->owner);
}

/* The names of all, as attributes. */
int shim6_heuristic_fill(struct sk_buff *skb)
{
	struct shim6_heuristic *heuristic;
	int err;

	err = nla_put_string(skb, SHIM6_A_HEURISTIC, "none");
	spin_lock(&heuristics_lock);
	list_for_each_entry(heuristic, &heuristics, list)
		err = err ?: nla_put_string(skb, SHIM6_A_HEURISTIC, heuristic->name);
	spin_unlock(&heuristics_lock);
	return err;
}
