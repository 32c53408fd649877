/* The requests this process works on, so that a second copy of one is recognised. */
#ifndef WORKERS_GENERATOR_IN_FLIGHT_H
#define WORKERS_GENERATOR_IN_FLIGHT_H

struct work;

struct in_flight;

struct in_flight *in_flight_open(void);

/* The work on the same request and run that is there already; NULL: there was none, and work (borrowed until
 * it is removed) is now. */
struct work *in_flight_add(struct in_flight *in_flight, struct work *work);

void in_flight_remove(struct in_flight *in_flight, struct work *work);

#endif
