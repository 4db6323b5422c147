// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bugs that a debug kernel must notice, so that its silence about shim6 means something. Loading with bug=NAME makes
 * one happen.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

#define LEAKS	8

static char *bug = "";
module_param(bug, charp, 0444);
MODULE_PARM_DESC(bug, "which one");

struct thing {
	struct timer_list timer;
	int value;
};

static struct thing __rcu *shared;
static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);

static noinline struct thing *thing_new(void)
{
	return kzalloc(sizeof(struct thing), GFP_KERNEL);
}

static noinline int use_after_free(void)
{
	struct thing *thing = thing_new();

	kfree(thing);
	return thing ? READ_ONCE(thing->value) : 0;
}

static noinline int overrun(void)
{
	u8 *octets = kzalloc(100, GFP_KERNEL);
	int value = octets ? READ_ONCE(octets[100]) : 0;

	kfree(octets);
	return value;
}

static noinline void leak(void)
{
	struct thing *thing;
	int i;

	for (i = 0; i < LEAKS; i++) {
		thing = thing_new();
		OPTIMIZER_HIDE_VAR(thing);
	}
}

static noinline void inversion(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static noinline bool unprotected(void)
{
	return rcu_dereference(shared);
}

static noinline void sleep_in_atomic(void)
{
	spin_lock(&spin);
	might_sleep();
	spin_unlock(&spin);
}

static void nothing(struct timer_list *timer)
{
}

static noinline void free_running_timer(void)
{
	struct thing *thing = thing_new();

	if (!thing)
		return;
	timer_setup(&thing->timer, nothing, 0);
	mod_timer(&thing->timer, jiffies + 3600 * HZ);
	kfree(thing);
}

/* Nothing else runs on this processor meanwhile: what is freed under the reader's eyes is freed by another. */
static noinline int reader(void *unused)
{
	struct thing *thing;
	int i, sum = 0;

	while (!kthread_should_stop()) {
		rcu_read_lock();
		preempt_disable();
		thing = rcu_dereference(shared);
		for (i = 0; thing && i < 1000; i++)
			sum += READ_ONCE(thing->value);
		preempt_enable();
		rcu_read_unlock();
		cond_resched();
	}
	return sum & 1;
}

/* The writer forgets to wait for readers. */
static noinline int race(void)
{
	struct task_struct *task = kthread_run(reader, NULL, "lab_bugs_reader");
	unsigned long end = jiffies + 5 * HZ;
	struct thing *old;

	if (IS_ERR(task))
		return PTR_ERR(task);
	while (time_before(jiffies, end)) {
		old = rcu_replace_pointer(shared, thing_new(), true);
		kfree(old);
		cond_resched();
	}
	kthread_stop(task);
	kfree(rcu_replace_pointer(shared, NULL, true));
	return 0;
}

static int __init lab_bugs_init(void)
{
	if (!strcmp(bug, "use-after-free"))
		use_after_free();
	else if (!strcmp(bug, "overrun"))
		overrun();
	else if (!strcmp(bug, "leak"))
		leak();
	else if (!strcmp(bug, "inversion"))
		inversion();
	else if (!strcmp(bug, "unprotected"))
		unprotected();
	else if (!strcmp(bug, "atomic"))
		sleep_in_atomic();
	else if (!strcmp(bug, "timer"))
		free_running_timer();
	else if (!strcmp(bug, "race"))
		return race();
	else
		return -EINVAL;
	return 0;
}

static void __exit lab_bugs_exit(void)
{
}

module_init(lab_bugs_init);
module_exit(lab_bugs_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Bugs that a debug kernel must notice");
