/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Logging through a ring buffer: formatted by the program, with a level that user space sets, and with what was lost.
 *
 *	LOG_RING(messages, 256 * 1024);
 *
 *	log_warning(messages, "port %d of %s is closed", port, name);
 *
 * LOG_RING(NAME, BYTES) is the ring buffer NAME, a counter of what found no room in it, and the variable NAME_level: what
 * is above it is not even formatted. In Python, log_to(logging.getLogger("..."), coll.stream("NAME")) has the rest.
 * Needs bpf_snprintf (5.13). Messages are cut after 127 bytes.
 */
#ifndef __LOG_RING_H
#define __LOG_RING_H

#include <bpf/bpf_helpers.h>
#include <bpf/lost_events.h>

/* The numbers of syslog(3), as the kernel's own log has them. */
enum log_level {
	LOG_EMERG = 0,
	LOG_ALERT = 1,
	LOG_CRIT = 2,
	LOG_ERR = 3,
	LOG_WARNING = 4,
	LOG_NOTICE = 5,
	LOG_INFO = 6,
	LOG_DEBUG = 7,
};

struct log_record {
	__u64 time_ns; /* bpf_ktime_get_ns: CLOCK_MONOTONIC */
	__u32 pid;
	__u32 cpu;
	enum log_level level;
	char message[128];
};

#define LOG_RING(name, bytes)                       \
	struct {                                    \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, bytes);         \
		__type(value, struct log_record);   \
	} name SEC(".maps");                        \
	LOST_EVENTS(name);                          \
	__u32 name##_level = LOG_INFO

#define log_at(name, of, format, args...)                                                                 \
	({                                                                                                \
		if ((of) <= name##_level) {                                                               \
			struct log_record *__record = reserve_or_count(name, struct log_record);          \
			if (__record) {                                                                   \
				__record->time_ns = bpf_ktime_get_ns();                                   \
				__record->pid = bpf_get_current_pid_tgid() >> 32;                         \
				__record->cpu = bpf_get_smp_processor_id();                               \
				__record->level = (of);                                                   \
				BPF_SNPRINTF(__record->message, sizeof(__record->message), format, ##args); \
				bpf_ringbuf_submit(__record, 0);                                          \
			}                                                                                 \
		}                                                                                         \
	})

#define log_error(name, format, args...) log_at(name, LOG_ERR, format, ##args)
#define log_warning(name, format, args...) log_at(name, LOG_WARNING, format, ##args)
#define log_info(name, format, args...) log_at(name, LOG_INFO, format, ##args)
#define log_debug(name, format, args...) log_at(name, LOG_DEBUG, format, ##args)

#endif
