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

static bool valid(const struct shim6_heuristic *heuristic)
{
	unsigned int i;

	if (!heuristic->name[0] || strnlen(heuristic->name, sizeof(heuristic->name)) == sizeof(heuristic->name) ||
	    strchr(heuristic->name, '+'))
		return false;
	for (i = 0; i < SHIM6_PARAMS_MAX && heuristic->param[i].name[0]; i++) {
		const struct shim6_param *param = &heuristic->param[i];

		if (strnlen(param->name, sizeof(param->name)) == sizeof(param->name) ||
		    param->initial < param->min || param->initial > param->max)
			return false;
	}
	return heuristic->flow_new || heuristic->packet || heuristic->veto;
}

/**
 * shim6_register_heuristic - let network namespaces choose a heuristic
 * @heuristic: stays with the caller until it is unregistered
 *
 * Return: 0, -EINVAL when the name, a parameter or every callback is wrong or missing, -EEXIST when the name is taken.
 */
int shim6_register_heuristic(struct shim6_heuristic *heuristic)
{
	int err = 0;

	if (!valid(heuristic))
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
 * @name: of the heuristic, not "none"
 *
 * Return: the heuristic with a reference on its module, or NULL.
 */
const struct shim6_heuristic *shim6_heuristic_get(const char *name)
{
	const struct shim6_heuristic *heuristic = get_registered(name);

	if (!heuristic && capable(CAP_NET_ADMIN)) {
		request_module("shim6-heur-%s", name);
		heuristic = get_registered(name);
	}
	return heuristic;
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
