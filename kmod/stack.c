// SPDX-License-Identifier: GPL-2.0-only
/* The heuristics that a network namespace uses together, their parameters and what each has decided. */
#include <linux/module.h>
#include <net/netlink.h>

#include "shim6.h"

unsigned int shim6_contexts(const struct net *net)
{
	return READ_ONCE(shim6_net(net)->n_contexts);
}
EXPORT_SYMBOL_GPL(shim6_contexts);

static unsigned int n_params(const struct shim6_heuristic *heuristic)
{
	unsigned int n = 0;

	while (n < SHIM6_PARAMS_MAX && heuristic->param[n].name[0])
		n++;
	return n;
}

/* No packet is shown to its heuristics any more, and no candidate refers to it. */
void shim6_stack_free(struct shim6_stack *stack)
{
	unsigned int i;

	if (!stack)
		return;
	for (i = 0; i < stack->n; i++) {
		free_percpu(stack->use[i].stats);
		module_put(stack->use[i].heuristic->owner);
	}
	kfree(stack);
}

static struct shim6_use *find_use(struct shim6_stack *stack, const char *name)
{
	unsigned int i;

	for (i = 0; stack && i < stack->n; i++)
		if (!strcmp(stack->use[i].heuristic->name, name))
			return &stack->use[i];
	return NULL;
}

static int add_use(struct shim6_stack *stack, struct net *net, const char *name,
		   struct netlink_ext_ack *extack)
{
	struct shim6_use *use = &stack->use[stack->n];
	unsigned int i;

	if (!strcmp(name, "none") || find_use(stack, name)) {
		NL_SET_ERR_MSG(extack, "HEURISTIC has one twice, or none beside others");
		return -EINVAL;
	}
	if (stack->n == SHIM6_STACK_MAX) {
		NL_SET_ERR_MSG(extack, "HEURISTIC has too many");
		return -E2BIG;
	}
	use->stats = alloc_percpu(struct shim6_use_stats);
	if (!use->stats)
		return -ENOMEM;
	use->heuristic = shim6_heuristic_get(name);
	if (!use->heuristic) {
		free_percpu(use->stats);
		NL_SET_ERR_MSG(extack, "HEURISTIC is not known");
		return -ENOENT;
	}
	use->net = net;
	use->place = stack->n++;
	for (i = 0; i < SHIM6_PARAMS_MAX; i++)
		use->param[i] = use->heuristic->param[i].initial;
	return 0;
}

/**
 * shim6_stack_new - make ready to use heuristics
 * @net: network namespace
 * @names: joined by plus signs, in the order in which they are asked; or "none"
 * @extack: what was wrong
 *
 * Return: NULL for "none", the heuristics with a reference on the module of each, or an error.
 */
struct shim6_stack *shim6_stack_new(struct net *net, const char *names, struct netlink_ext_ack *extack)
{
	struct shim6_stack *stack;
	char *copy, *rest, *name;
	int err = 0;

	if (!strcmp(names, "none"))
		return NULL;
	copy = kstrdup(names, GFP_KERNEL);
	stack = kzalloc(struct_size(stack, use, SHIM6_STACK_MAX), GFP_KERNEL);
	if (!copy || !stack)
		err = -ENOMEM;
	rest = copy;
	while (!err && (name = strsep(&rest, "+")))
		err = add_use(stack, net, name, extack);
	kfree(copy);
	if (err) {
		shim6_stack_free(stack);
		return ERR_PTR(err);
	}
	return stack;
}

/* Takes over the stack. sn->lock is held, or the namespace is going. */
void shim6_stack_select(struct shim6_net *sn, struct shim6_stack *stack)
{
	struct shim6_stack *old = rcu_dereference_protected(sn->stack, 1);

	if (old) {
		/* Without a heuristic no candidate is made, and none is shown to the old ones. */
		RCU_INIT_POINTER(sn->stack, NULL);
		synchronize_rcu();
		shim6_flow_flush(sn);
		rcu_barrier();
	}
	rcu_assign_pointer(sn->stack, stack);
	shim6_stack_free(old);
}

/* sn->lock is held. */
int shim6_stack_set_param(struct shim6_net *sn, const char *heuristic, const char *param, u64 value,
			  struct netlink_ext_ack *extack)
{
	struct shim6_use *use = find_use(rcu_dereference_protected(sn->stack, lockdep_is_held(&sn->lock)),
					 heuristic);
	const struct shim6_param *known;
	unsigned int i;

	if (!use) {
		NL_SET_ERR_MSG(extack, "HEURISTIC is not in use");
		return -ENOENT;
	}
	for (i = 0; i < n_params(use->heuristic); i++) {
		known = &use->heuristic->param[i];
		if (strcmp(known->name, param))
			continue;
		if (value < known->min || value > known->max) {
			NL_SET_ERR_MSG(extack, "VALUE is out of the parameter's range");
			return -ERANGE;
		}
		WRITE_ONCE(use->param[i], value);
		return 0;
	}
	NL_SET_ERR_MSG(extack, "the heuristic has no such parameter");
	return -ENOENT;
}

/* The names as they were chosen. sn->lock is held. */
int shim6_stack_fill_names(struct sk_buff *skb, struct shim6_net *sn)
{
	const struct shim6_stack *stack = rcu_dereference_protected(sn->stack, lockdep_is_held(&sn->lock));
	char names[SHIM6_STACK_NAME_MAX] = "none";
	unsigned int i, len = 0;

	for (i = 0; stack && i < stack->n; i++)
		len += scnprintf(names + len, sizeof(names) - len, "%s%s", i ? "+" : "",
				 stack->use[i].heuristic->name);
	return nla_put_string(skb, SHIM6_A_HEURISTIC, names);
}

static int fill_param(struct sk_buff *skb, const struct shim6_use *use, unsigned int i)
{
	const struct shim6_param *param = &use->heuristic->param[i];
	struct nlattr *nest = nla_nest_start(skb, SHIM6_USE_A_PARAM);

	if (!nest || nla_put_string(skb, SHIM6_PARAM_A_NAME, param->name) ||
	    nla_put_u64_64bit(skb, SHIM6_PARAM_A_VALUE, shim6_param(use, i), SHIM6_PARAM_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_PARAM_A_INITIAL, param->initial, SHIM6_PARAM_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_PARAM_A_MIN, param->min, SHIM6_PARAM_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_PARAM_A_MAX_VALUE, param->max, SHIM6_PARAM_A_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int fill_use(struct sk_buff *skb, const struct shim6_use *use)
{
	struct nlattr *nest = nla_nest_start(skb, SHIM6_A_USE);
	struct shim6_use_stats sum = {};
	unsigned int i;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct shim6_use_stats *one = per_cpu_ptr(use->stats, cpu);

		sum.refusals += READ_ONCE(one->refusals);
		sum.triggers += READ_ONCE(one->triggers);
		sum.vetoes += READ_ONCE(one->vetoes);
	}
	if (!nest || nla_put_string(skb, SHIM6_USE_A_NAME, use->heuristic->name) ||
	    nla_put_u64_64bit(skb, SHIM6_USE_A_REFUSALS, sum.refusals, SHIM6_USE_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_USE_A_TRIGGERS, sum.triggers, SHIM6_USE_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_USE_A_VETOES, sum.vetoes, SHIM6_USE_A_PAD))
		return -EMSGSIZE;
	for (i = 0; i < n_params(use->heuristic); i++)
		if (fill_param(skb, use, i))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* Everything about the heuristics in use. sn->lock is held. */
int shim6_stack_fill(struct sk_buff *skb, struct shim6_net *sn)
{
	const struct shim6_stack *stack = rcu_dereference_protected(sn->stack, lockdep_is_held(&sn->lock));
	struct nlattr *nest = nla_nest_start(skb, SHIM6_A_STACK);
	unsigned int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; stack && i < stack->n; i++)
		if (fill_use(skb, &stack->use[i]))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}
