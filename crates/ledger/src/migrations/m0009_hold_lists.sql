-- The holds of an account become a list, as its entries are: each leg names the hold before it that has a
-- leg on the same account, and the account's state names the last. An index by account would have to be
-- written at a place of its own for every leg.
create table listed_hold_legs (
    hold_sequence    {bigint} not null,
    leg_no           {bigint} not null,
    account_sequence {bigint} not null,
    amount           {bigint} not null check (amount <> 0),
    previous         {bigint},
    primary key (hold_sequence, leg_no)
) {clustered};
insert into listed_hold_legs
    select hold_sequence, leg_no, account_sequence, amount,
           max(hold_sequence) over (partition by account_sequence order by hold_sequence
                                    groups between unbounded preceding and 1 preceding)
    from hold_legs
    order by hold_sequence, leg_no;
drop table hold_legs;
alter table listed_hold_legs rename to hold_legs;

alter table account_states add column last_hold {bigint};
update account_states set last_hold = listed.last_hold
    from (select account_sequence, max(hold_sequence) as last_hold
          from hold_legs group by account_sequence) listed
    where listed.account_sequence = account_states.account_sequence;
