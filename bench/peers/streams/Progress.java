package peers;

import java.util.concurrent.CountDownLatch;

/** How much of the job is done: when the first event came, and when every row was written. */
final class Progress {
    private static final CountDownLatch DONE = new CountDownLatch(1);
    private static volatile double begun;
    private static double ended;
    private static long missingOfSchools;
    private static long missingOfCounties;

    private Progress() {}

    static synchronized void expect(long events) {
        missingOfSchools = events;
        missingOfCounties = events;
    }

    static void begin() {
        if (begun == 0) {
            begun = now();
        }
    }

    static synchronized void written(long ofSchools, long ofCounties) {
        missingOfSchools -= ofSchools;
        missingOfCounties -= ofCounties;
        if (missingOfSchools <= 0 && missingOfCounties <= 0 && ended == 0) {
            ended = now();
            DONE.countDown();
        }
    }

    /** Waits for the end; answers with both times, in seconds since 1970. */
    static String report() throws InterruptedException {
        DONE.await();
        return "{\"begun\": %.6f, \"ended\": %.6f}".formatted(begun, ended);
    }

    private static double now() {
        return System.currentTimeMillis() / 1000.0;
    }
}
