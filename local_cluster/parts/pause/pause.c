/* PID 1 of a pod's sandbox and of each machine of the local cluster: reaps orphans, ends on SIGINT or SIGTERM. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

int main(void) {
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigprocmask(SIG_BLOCK, &watched, NULL); /* blocked and waited for: no signal falls between two calls */

    for (;;) {
        int received = 0;
        if (sigwait(&watched, &received) != 0)
            return EXIT_FAILURE;
        if (received != SIGCHLD)
            return EXIT_SUCCESS;
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
}
